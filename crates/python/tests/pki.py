"""Certificates for tests, made by `openssl`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

KEY_PASSWORD = "key-password-canary"
STORE_PASSWORD = "store-password-canary"


class Pki:
    """An authority, a server's certificate for 127.0.0.1, and a client's in several forms."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority("ca")
        self._authority("other-ca")
        self._signed("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self._signed("client", "extendedKeyUsage=clientAuth")
        # Without extensions it is of X.509's first version.
        self._signed("old-client")
        self._openssl(
            "pkcs12 -export -in client.pem -inkey client.key -out client.p12 -passout",
            f"pass:{STORE_PASSWORD}",
        )
        self._openssl(
            "pkcs8 -topk8 -in client.key -out encrypted.key -passout", f"pass:{KEY_PASSWORD}"
        )

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def _authority(self, name: str) -> None:
        self._openssl(
            f"req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.pem -days 2 -subj",
            f"/CN=ottla test {name}",
        )

    def _signed(self, name: str, extension: str = "") -> None:
        self._openssl(
            f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        )
        (self.folder / "extensions").write_text(extension + "\n")
        self._openssl(
            f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem "
            "-days 1" + (" -extfile extensions" if extension else "")
        )

    def _openssl(self, arguments: str, *more: str) -> None:
        command = ["openssl", *arguments.split(), *more]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    if shutil.which("openssl") is None:
        assert "CI" not in os.environ, "openssl is not there to make certificates"
        pytest.skip("openssl is not there to make certificates")
    return Pki(tmp_path_factory.mktemp("pki"))

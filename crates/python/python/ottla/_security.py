"""What a ``confluent_kafka`` configuration says of TLS, SASL and tokens."""

from __future__ import annotations

import warnings
from typing import Dict, FrozenSet, List, Tuple

from . import _native

_SASL: FrozenSet[str] = frozenset({"sasl_plaintext", "sasl_ssl"})
_TLS: FrozenSet[str] = frozenset({"ssl", "sasl_ssl"})
_PROTOCOLS: FrozenSet[str] = _SASL | _TLS | {"plaintext"}

#: Librdkafka's way to tokens of the cloud that a program runs in.
METADATA_SERVICE = "sasl.oauthbearer.metadata.authentication.type"

#: Parts of the names of settings whose values are shown to nobody. A PEM text is among them
#: whatever it should hold: people paste keys into the wrong setting.
_SECRETS: Tuple[str, ...] = (
    "password",
    "passphrase",
    "secret",
    "token",
    "jaas",
    ".pem",
    "keystore.key",
    "certificate.chain",
    "truststore.certificates",
    "oauthbearer.config",
)


def is_secret(key: str) -> bool:
    """Whether a setting's value must not be shown."""
    return any(part in key for part in _SECRETS)


def public(native: Dict[str, str]) -> Dict[str, str]:
    """The settings as they may be kept and shown."""
    return {key: "[hidden]" if is_secret(key) else text for key, text in native.items()}


def protocol_of(native: Dict[str, str]) -> str:
    """``security.protocol``, in small letters."""
    return native.get("security.protocol", "plaintext").lower()


def wants_tokens(native: Dict[str, str]) -> bool:
    """Whether the client says who it is by tokens."""
    mechanism = native.get("sasl.mechanism") or native.get("sasl.mechanisms") or ""
    return protocol_of(native) in _SASL and mechanism.upper() == "OAUTHBEARER"


def leave_out_unused(native: Dict[str, str]) -> None:
    """Leaves out what ``security.protocol`` makes no use of, as librdkafka does. The library
    refuses it, because it is mostly a mistake; so there is a warning."""
    protocol = protocol_of(native)
    if protocol not in _PROTOCOLS:
        return  # The library says so.
    unused: List[str] = []
    if protocol not in _SASL:
        of_sasl = ("sasl.", "enable.sasl.", "https.ca.")
        unused += (key for key in native if key.startswith(of_sasl))
    if protocol not in _TLS:
        unused += (key for key in native if key.startswith(("ssl.", "enable.ssl.")))
    for key in unused:
        del native[key]
    if unused:
        text = f"no effect of {', '.join(sorted(unused))}: security.protocol is {protocol.upper()}"
        warnings.warn(text, RuntimeWarning, stacklevel=5)


def without_protocol(server: str, protocol: str) -> str:
    """A server without the protocol that librdkafka takes in front of it.

    Raises ``ValueError`` if that is not how the server would be met.
    """
    name, found, address = server.partition("://")
    if not found:
        return server
    if name.lower() != protocol:
        raise ValueError(
            f"{server} asks for {name.upper()}, and security.protocol is {protocol.upper()}"
        )
    return address.rstrip("/")


def warn(native: Dict[str, str], stacklevel: int) -> None:
    """Says what the library allows and does not like."""
    for key, why in _native.warnings_of(native):
        warnings.warn(f"{key}: {why}", RuntimeWarning, stacklevel=stacklevel)

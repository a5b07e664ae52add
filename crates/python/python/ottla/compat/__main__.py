"""``python -m ottla.compat script.py [arguments]``."""

from __future__ import annotations

import os
import runpy
import sys

from . import install

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m ottla.compat script.py [arguments]")
    install()
    del sys.argv[0]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    if not os.path.exists(sys.argv[0]):
        sys.exit(f"ottla.compat: there is no {sys.argv[0]}")
    runpy.run_path(sys.argv[0], run_name="__main__")

"""``python -m ottla.compat script.py [arguments]``, or ``-m module [arguments]``."""

from __future__ import annotations

import os
import runpy
import sys

from . import install

_USAGE = "usage: python -m ottla.compat (script.py | -m module) [arguments]"


def _main() -> None:
    arguments = sys.argv[1:]
    if not arguments or arguments == ["-m"]:
        sys.exit(_USAGE)
    if arguments[0] in ("-h", "--help"):
        print(_USAGE)
        return
    install()
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return
    sys.argv = arguments
    sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
    if not os.path.exists(arguments[0]):
        sys.exit(f"ottla.compat: there is no {arguments[0]}")
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    _main()

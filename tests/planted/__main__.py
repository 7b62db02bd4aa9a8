"""`python -m tests.planted NAME ARGUMENTS`: `pulih ARGUMENTS` with a planted bug, in it and in all that it starts."""

import os
import runpy
import sys
import warnings
from collections.abc import Sequence

from tests.planted import PYTHON, inherited, plants

SWITCH = "TESTS_PLANTED"
INTERPRETER = "TESTS_PLANTED_PYTHON"


def main(arguments: Sequence[str]) -> None:
    """`-m MODULE ARGUMENTS`, as `tests/planted/python` gives them on, runs another module under the switch it has."""
    if not arguments:
        sys.exit("python -m tests.planted NAME ARGUMENTS")
    if arguments[0] == "-m":
        name, module, rest = os.environ[SWITCH], arguments[1], arguments[2:]
    else:
        name, module, rest = arguments[0], "app.cli", arguments[1:]
    os.environ |= {SWITCH: name, INTERPRETER: sys.executable, **inherited()}
    sys.executable = str(PYTHON)  # before anything of the product is loaded: some of it looks at once
    _plant(name)
    sys.argv = [module, *rest]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the module is loaded already where a bug was planted in it
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def _plant(name: str) -> None:
    known = plants()
    if name not in known:
        sys.stderr.write(f"{name!r} is no planted bug; there are: {', '.join(sorted(known))}\n")
        sys.exit(2)
    known[name]()


if __name__ == "__main__":
    main(sys.argv[1:])

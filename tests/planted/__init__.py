"""Planted bugs: each is turned on by a switch that only tests have, and caught by the test it was made for.

Every module here is a room. Its `PLANTS` maps the name of a bug to what plants it in the running process, by `replace`.
A process is started with one by `command(name)`, in the environment of `inherited()`; what it starts has it too.
A test that catches some says so by `@pytest.mark.parametrize("plant", ...)`, of their names or of a room's `PLANTS`.
"""

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Plant = Callable[[], None]

ROOT = Path(__file__).parents[2]
PYTHON = Path(__file__).with_name("python")
"""Stands in for the interpreter where a planted process starts another one."""

_undo: list[Callable[[], None]] = []


def rooms() -> Mapping[str, Mapping[str, Plant]]:
    """The plants of each room, by its name."""
    names = [found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.name != "__main__"]
    return {name: importlib.import_module(f"tests.planted.{name}").PLANTS for name in names}


def plants() -> dict[str, Plant]:
    """Every plant by its name."""
    return {name: plant for room in rooms().values() for name, plant in room.items()}


def replace(owner: object, name: str, made: Callable[[Any], object]) -> None:
    """Put in the place of an attribute what is `made` of it; raises AttributeError where there is none."""
    before = getattr(owner, name)
    setattr(owner, name, made(before))
    _undo.append(lambda: setattr(owner, name, before))


@contextmanager
def planted(name: str) -> Iterator[None]:
    """A bug in this process for as long as the block runs."""
    since = len(_undo)
    plants()[name]()
    try:
        yield
    finally:
        while len(_undo) > since:
            _undo.pop()()


def command(name: str) -> tuple[str, ...]:
    """What runs `pulih` with a bug."""
    return (sys.executable, "-m", "tests.planted", name)


def inherited() -> dict[str, str]:
    """What the environment of such a command needs."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}

"""A fault at a step by which something is written, and whatever can be told of one."""

from typing import NamedTuple, Protocol


class Fault(NamedTuple):
    """At which step something goes wrong: before it is done or after, by an error or by killing whoever asks."""

    step: int
    is_done: bool
    kills: bool


class Faulty(Protocol):
    """What an installation writes to. It may be told to `keep` all as it now is, to put it `back`, to `plan` a fault
    while it counts steps from there on, and to say which `steps` those were."""

    def tell(self, name: str, *arguments: object) -> list[str]: ...

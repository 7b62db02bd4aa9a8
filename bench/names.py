"""Names to block, made up: the same ones in every run, a longer list beginning with the shorter one."""

from collections.abc import Iterator
from itertools import islice
from random import Random

SYLLABLES = (
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "ji",
    "ka",
    "lo",
    "mu",
    "na",
    "pe",
    "ri",
    "sa",
    "to",
    "wu",
    "zen",
    "bar",
    "kol",
)
TAILS = ("", "", "", "88", "77", "303", "-id", "-asia", "4d", "online")
ENDINGS = ("com", "com", "com", "net", "org", "xyz", "top", "site", "online", "club", "live", "info", "co.id", "my.id")
SEED = 2017


def made_up(count: int) -> Iterator[str]:
    """So many names, each one label below a public suffix, so that none stands below another."""
    return islice(_distinct(), count)


def fresh(count: int, of: str) -> list[str]:
    """Names that are on no list: `of` keeps those of one change from those of another."""
    return [f"{of}-{number}.example" for number in range(count)]


def _distinct() -> Iterator[str]:
    random, seen = Random(SEED), set[str]()
    while True:
        stem = "".join(random.choices(SYLLABLES, k=random.randint(3, 5)))
        name = f"{stem}{random.choice(TAILS)}.{random.choice(ENDINGS)}"
        if name not in seen:
            seen.add(name)
            yield name

"""Names to block, made up: the same ones in every run, a longer list beginning with the shorter one."""

from collections.abc import Iterable, Iterator
from pathlib import Path

LISTED = "listed.example"
"""Heads every list: it is answered where a resolver has no list yet, and blocked as soon as it has this one."""

SYLLABLES = [
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
]
TAILS = ("", "88", "77", "303", "-id", "-asia", "4d", "online")
ENDINGS = ["com", "net", "org", "xyz", "top", "site", "online", "club", "live", "info", "co.id", "my.id"]

LONGEST = 5
"""Syllables in a name; a name has three at least."""

STEMS = tuple(len(SYLLABLES) ** count for count in range(3, LONGEST + 1))
SPACE = sum(STEMS) * len(TAILS) * len(ENDINGS)
STRIDE = 154_669_931
"""Some 0.61 of the space, and no divisor in common with it: every name comes once before one comes twice."""


def made_up(count: int) -> Iterator[str]:
    """So many different names, each one label below a public suffix, so that none stands below another."""
    if count > 0:
        yield LISTED
    for number in range(1, count):
        yield _name(number * STRIDE % SPACE)


def fresh(count: int, of: str) -> list[str]:
    """Names that are on no list: `of` keeps those of one change from those of another."""
    return [f"{of}-{number}.example" for number in range(count)]


def owners(names: Iterable[str]) -> Iterator[str]:
    """The owners of the two records that block a name and everything below it."""
    for name in names:
        yield name
        yield f"*.{name}"


def write_zone(file: Path, zone: str, names: Iterable[str]) -> None:
    """A master file with the records that Pulih publishes for these names."""
    with file.open("w", buffering=1 << 20) as stream:
        stream.write(f"$ORIGIN {zone}.\n$TTL 60\n@ SOA localhost. normalisation.invalid. 1 300 60 2592000 60\n")
        stream.write("@ NS localhost.\n")
        stream.writelines(f"{owner} CNAME .\n" for owner in owners(names))


def _name(number: int) -> str:
    number, ending = divmod(number, len(ENDINGS))
    number, tail = divmod(number, len(TAILS))
    return f"{_stem(number)}{TAILS[tail]}.{ENDINGS[ending]}"


def _stem(number: int) -> str:
    """The shorter stems first; no two stems of these syllables are spelled alike."""
    length = 3
    while number >= STEMS[length - 3]:
        number -= STEMS[length - 3]
        length += 1
    spoken = []
    for _ in range(length):
        number, syllable = divmod(number, len(SYLLABLES))
        spoken.append(SYLLABLES[syllable])
    return "".join(spoken)

"""Names that no order may block, and names that need an override.

Hard, whatever anyone says: top-level domains, ICANN public suffixes, our own zones and redirect targets.
Soft: private public suffixes, a list of services that many depend on, and the first names of a rank file. The root
never gets here: it is no canonical name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from resolver_policy.errors import HardProtected, NameInvalid, SoftProtected
from resolver_policy.names import ancestors, canonical, key_parent, sort_key
from resolver_policy.targets import Match

KINDS = ("service", "suffix")
RANKED = "ranked"
WITH_ALL_BELOW = ("service", RANKED)
_ICANN_BEGINS = "// ===BEGIN ICANN DOMAINS==="
_ICANN_ENDS = "// ===END ICANN DOMAINS==="
_RESERVED = frozenset({"example"})  # RFC 2606 section 2


class Entry(NamedTuple):
    """A soft-protected name. A `service`, and a `ranked` name, is protected with everything below it, a `suffix` (a
    hosting platform) only itself; all also against a subtree block of a name above."""

    name: str
    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class _SuffixSet:
    """One section of the public suffix list. A name is a public suffix if it is listed, if a wildcard rule
    stands directly below it, or if it is covered by one and not excepted."""

    listed: frozenset[str]
    wildcards: frozenset[str]
    exceptions: frozenset[str]
    above: frozenset[str]

    def has(self, name: str) -> bool:
        if name in self.listed or name in self.wildcards:
            return True
        return name.partition(".")[2] in self.wildcards and name not in self.exceptions


@dataclass(frozen=True, slots=True)
class Suffixes:
    """The public suffix list, its two sections apart; `tlds` are the top-level domains it knows."""

    icann: _SuffixSet
    private: _SuffixSet
    tlds: frozenset[str]

    def has(self, name: str) -> bool:
        """Whether a name is a top-level domain or a public suffix of either section."""
        return "." not in name or self.icann.has(name) or self.private.has(name)

    def above(self, name: str) -> str:
        """The longest public suffix of either section that a name lies below; its top-level domain at least."""
        return next((parent for parent in ancestors(name) if self.has(parent)), name)


@dataclass(frozen=True, slots=True)
class Protected:
    """What this installation protects: its own names (hard), and the entries of its lists (soft)."""

    own: frozenset[str]
    soft: Mapping[str, Entry]
    own_below: tuple[str, ...] = field(init=False)
    own_above: frozenset[str] = field(init=False)
    soft_above: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own_below", tuple("." + name for name in self.own))
        object.__setattr__(self, "own_above", frozenset(_all_above(self.own)))
        above = {parent: name for name in sorted(self.soft, reverse=True) for parent in ancestors(name)}
        object.__setattr__(self, "soft_above", above)


@dataclass(frozen=True, slots=True)
class Notable:
    """Everything that `check` could say anything about, as few questions: of a million names, hardly one is notable.

    Names are sort keys here.
    """

    names: frozenset[str]
    above: frozenset[str]
    tlds: frozenset[str]

    def has(self, key: str) -> bool:
        """Whether `check` must look at a name; if not, it refuses it with no match and no override."""
        parent = key_parent(key)
        if not parent or key in self.names:
            return True
        while parent not in self.above:
            above = key_parent(parent)
            if not above:
                return parent not in self.tlds
            parent = above
        return True


def notable(suffixes: Suffixes, protected: Protected) -> Notable:
    """Gather what the lists name: names, with what is said about names above them, and names that reach below."""
    sections = (suffixes.icann, suffixes.private)
    names = [each for section in sections for each in (section.listed, section.wildcards, section.above)]
    own = (protected.own, protected.own_above, protected.soft.keys(), protected.soft_above.keys())
    services = [name for name, entry in protected.soft.items() if entry.kind in WITH_ALL_BELOW]
    above = protected.own.union(services, *(section.wildcards for section in sections))
    return Notable(*map(_keys, (frozenset().union(*names, *own), above, suffixes.tlds | _RESERVED)))


def _keys(names: Iterable[str]) -> frozenset[str]:
    return frozenset(map(sort_key, names))


def read_suffixes(text: str) -> Suffixes:
    """Read the public suffix list in its published form (publicsuffix.org/list)."""
    before, _, rest = text.partition(_ICANN_BEGINS)
    icann_text, ended, private_text = rest.partition(_ICANN_ENDS)
    if not ended:
        raise ValueError("the public suffix list has no ICANN section")
    icann = _suffix_set(icann_text)
    tlds = frozenset(name.rpartition(".")[2] for name in icann.listed | icann.wildcards)
    return Suffixes(icann, _suffix_set(before + private_text), tlds)


def _suffix_set(text: str) -> _SuffixSet:
    rules = [line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("//")]
    wildcards = frozenset(canonical(rule[2:]) for rule in rules if rule.startswith("*."))
    exceptions = frozenset(canonical(rule[1:]) for rule in rules if rule.startswith("!"))
    listed = frozenset(canonical(rule) for rule in rules if rule[0] not in "*!")
    return _SuffixSet(listed, wildcards, exceptions, frozenset(_all_above(listed | wildcards)))


def _all_above(names: Iterable[str]) -> Iterable[str]:
    return (parent for name in names for parent in ancestors(name))


def read_protected(text: str) -> tuple[Entry, ...]:
    """Read a list of soft-protected names: `service NAME` or `suffix NAME` a line.

    A line `# source: ...` says where the entries after it come from; other `#` lines are comments.
    ValueError, with the line number, for anything else.
    """
    entries, source = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# source:"):
            source = line.removeprefix("# source:").strip()
        elif line.strip() and not line.startswith("#"):
            kind, blank, name = line.partition(" ")
            if kind not in KINDS or not blank or not source:
                raise ValueError(f"line {number}: {line!r} is not an entry under a source")
            entries.append(Entry(canonical(name.strip()), kind, source))
    return tuple(entries)


def protect(own: Iterable[str], soft: Iterable[Entry]) -> Protected:
    """Join our own zone names and redirect targets with the soft lists; of two entries for a name the
    service, which protects more, stays, and a rank takes the place of nothing."""
    table: dict[str, Entry] = {}
    for entry in soft:
        if entry.name not in table or entry.kind == "service" or table[entry.name].kind == RANKED:
            table[entry.name] = entry
    return Protected(frozenset(own), table)


def check(name: str, match: Match, suffixes: Suffixes, protected: Protected, *, override: bool = False) -> None:
    """Refuse a block that would do more harm than an order can mean. `name` is canonical.

    HardProtected always; SoftProtected, and NameInvalid for a top-level domain that does not exist, unless
    overridden. `rule` says which protection it was.
    """
    subtree = match is Match.SUBTREE
    _check_hard(name, suffixes.icann, protected, subtree=subtree)
    if override:
        return
    tld = name.rpartition(".")[2]
    if tld not in suffixes.tlds and tld not in _RESERVED:
        raise NameInvalid(f"'{name}' is under no top-level domain that exists", value=name, rule="tld_unknown")
    _check_private(name, suffixes.private, subtree=subtree)
    _check_soft(name, protected, subtree=subtree)


def _check_hard(name: str, icann: _SuffixSet, protected: Protected, *, subtree: bool) -> None:
    if "." not in name:
        raise HardProtected(f"'{name}' is a top-level domain", value=name, rule="tld")
    if icann.has(name):
        raise HardProtected(f"'{name}' is a public suffix", value=name, rule="public_suffix")
    if subtree and name in icann.above:
        raise HardProtected(f"a public suffix lies below '{name}'", value=name, rule="public_suffix")
    if name in protected.own or name.endswith(protected.own_below):
        raise HardProtected(f"'{name}' belongs to this service itself", value=name, rule="own_zone")
    if subtree and name in protected.own_above:
        raise HardProtected(f"a name of this service lies below '{name}'", value=name, rule="own_zone")


def _check_private(name: str, private: _SuffixSet, *, subtree: bool) -> None:
    if private.has(name):
        raise SoftProtected(
            f"under '{name}' anyone may have a name (private public suffix)",
            value=name,
            rule="private_suffix",
        )
    if subtree and name in private.above:
        raise SoftProtected(f"below '{name}' lies a private public suffix", value=name, rule="private_suffix")


def _check_soft(name: str, protected: Protected, *, subtree: bool) -> None:
    soft = protected.soft
    if name in soft:
        raise _soft(name, f"'{name}' is protected", soft[name])
    for parent in ancestors(name):
        if parent in soft and soft[parent].kind in WITH_ALL_BELOW:
            raise _soft(name, f"'{name}' belongs to the protected '{parent}'", soft[parent])
    if subtree and name in protected.soft_above:
        below = soft[protected.soft_above[name]]
        raise _soft(name, f"'{name}' lies above the protected '{below.name}'", below)


def _soft(name: str, what: str, entry: Entry) -> SoftProtected:
    return SoftProtected(f"{what} ({entry.source})", value=name, rule=f"protected_{entry.kind}")

"""The guard with the lists of this installation: what may be blocked here, and how long a name may be."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path

from publicsuffixlist import PSLFILE

from app.settings import USUAL, Limits, ZoneSetting
from resolver_policy import guard, layers, names
from resolver_policy.errors import HardProtected
from resolver_policy.targets import Match


@dataclass(frozen=True, slots=True)
class Guard:
    """Judges every name before it is stored, on every path; and the limits of what one person may do.

    `ranks` is the digest of the rank file whose names are among those that it protects.
    """

    suffixes: guard.Suffixes
    protected: guard.Protected
    longest_zone: str
    limits: Limits = USUAL
    ranks: str = ""
    _notable: guard.Notable = field(init=False)
    _longest_key: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_notable", guard.notable(self.suffixes, self.protected))
        object.__setattr__(self, "_longest_key", names.longest_key(self.longest_zone))

    def with_ranked(self, entries: Iterable[guard.Entry], digest: str) -> "Guard":
        """The same guard with the names of another rank file, which has this digest."""
        lists = [entry for entry in self.protected.soft.values() if entry.kind != guard.RANKED]
        ranked = (entry for entry in entries if not self.suffixes.has(entry.name))
        return replace(self, protected=guard.protect(self.protected.own, [*lists, *ranked]), ranks=digest)

    def never(self, key: str, match: Match) -> bool:
        """Whether this target must not stand in a zone whatever any row says: asked again before publication."""
        if not self._notable.has(key):
            return False
        try:
            guard.check(names.from_key(key), match, self.suffixes, self.protected, override=True)
        except HardProtected:
            return True
        return False

    def check(self, text: str, match: Match, *, overridden: bool) -> str:
        """The canonical name that `text` means.

        Raises PolicyError: not a name, too long for the longest zone, protected. An override lets soft-protected
        names and unknown TLDs through, nothing else.
        """
        return names.from_key(self.checked_key(text, match, overridden=overridden))

    def checked_key(self, text: str, match: Match, *, overridden: bool) -> str:
        """The same, as a sort key."""
        name = names.canonical(text)
        key = names.sort_key(name)
        if len(key) > self._longest_key:
            names.check_fits(name, self.longest_zone)
        if self._notable.has(key):
            guard.check(name, match, self.suffixes, self.protected, override=overridden)
        return key

    def check_again(self, key: str, match: Match, *, overridden: bool) -> None:
        """Hold a name that was good once against the lists and zones as they are now; raises PolicyError."""
        if self._notable.has(key) or len(key) > self._longest_key:
            self.check(names.from_key(key), match, overridden=overridden)


@lru_cache(maxsize=4)
def load(zones: tuple[ZoneSetting, ...], limits: Limits = USUAL) -> Guard:
    """The bundled suffix list, the shipped list of shared services, and the names of our own zones.

    Made once for the same settings: reading ten thousand suffixes takes longer than most of what a process does.
    """
    suffixes = guard.read_suffixes(Path(PSLFILE).read_text("utf-8"))
    shipped = (resources.files("resolver_policy") / "protected.txt").read_text("utf-8")
    own = [zone.name for zone in zones] + [zone.action.target for zone in zones if zone.action.target is not None]
    own.append(layers.CANARY)
    return Guard(
        suffixes,
        guard.protect(own, guard.read_protected(shipped)),
        max((layers.URGENT + zone.name for zone in zones), key=names.wire_length),
        limits,
    )

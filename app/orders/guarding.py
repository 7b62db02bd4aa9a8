"""The guard with the lists of this installation: what may be blocked here, and how long a name may be."""

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from publicsuffixlist import PSLFILE

from app.settings import ZoneSetting
from resolver_policy import guard, layers, names
from resolver_policy.errors import HardProtected
from resolver_policy.targets import Match


@dataclass(frozen=True, slots=True)
class Guard:
    """Judges every name before it is stored, on every path."""

    suffixes: guard.Suffixes
    protected: guard.Protected
    longest_zone: str
    _notable: guard.Notable = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_notable", guard.notable(self.suffixes, self.protected))

    def never(self, name: str, match: Match) -> bool:
        """Whether this target must not stand in a zone whatever any row says: asked again before publication."""
        if not self._notable.has(name):
            return False
        try:
            guard.check(name, match, self.suffixes, self.protected, override=True)
        except HardProtected:
            return True
        return False

    def check(self, text: str, match: Match, *, overridden: bool) -> str:
        """The canonical name that `text` means.

        Raises PolicyError: not a name, too long for the longest zone, protected. An override lets soft-protected
        names and unknown TLDs through, nothing else.
        """
        name = names.canonical(text)
        names.check_fits(name, self.longest_zone)
        if self._notable.has(name):
            guard.check(name, match, self.suffixes, self.protected, override=overridden)
        return name


def load(zones: tuple[ZoneSetting, ...]) -> Guard:
    """The bundled suffix list, the shipped list of shared services, and the names of our own zones."""
    suffixes = guard.read_suffixes(Path(PSLFILE).read_text("utf-8"))
    shipped = (resources.files("resolver_policy") / "protected.txt").read_text("utf-8")
    own = [zone.name for zone in zones] + [zone.action.target for zone in zones if zone.action.target is not None]
    own.append(layers.CANARY)
    return Guard(
        suffixes,
        guard.protect(own, guard.read_protected(shipped)),
        max((layers.URGENT + zone.name for zone in zones), key=names.wire_length),
    )

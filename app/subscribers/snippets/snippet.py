"""What a configuration is made of, what it is made into, and the words that all kinds share."""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from app.settings import Endpoint, parse_endpoint
from app.subscribers.keys import Tsig
from resolver_policy.actions import Action
from resolver_policy.layers import BASE, CANARY, URGENT

Release = tuple[int, int]

RELAY_PORT = 5301
"""Where a relay listens if NOTIFY goes to no port that it could have."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One subscriber and one zone; `server` is where the zone is transferred from; no key: it asks unsigned.

    `site` is our HTTP address; `resolver` is where the resolver itself listens; `relay` is the software of a
    server of the ISP's own that stands between the two. `layers`: the zone in two, of which the first is asked first.
    """

    subscriber: str
    zone: str
    action: Action
    server: Endpoint
    site: str
    tsig: Tsig | None
    addresses: tuple[str, ...]
    notify: tuple[str, ...]
    release: Release
    resolver: Endpoint
    relay: str | None = None
    layers: bool = False

    @property
    def taken(self) -> tuple[str, ...]:
        """The zones that are transferred, in the order in which a resolver must list them."""
        return (URGENT + self.zone, BASE + self.zone) if self.layers else (self.zone,)

    @property
    def title(self) -> str:
        """What the zone is called in a heading."""
        return f"{self.zone} in layers ({' in front of '.join(self.taken)})" if self.layers else f"{self.zone}"


Text = Callable[[Facts], str]


def no_objection(_facts: Facts) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Snippet:
    """How one kind of resolver is configured.

    `whole` gives the text that is printed; `parts` gives pieces of it by name, for whoever puts them into files
    of their own. `default` is Debian 12's release, `oldest` the first that the text is written for. `objection`
    says why these facts cannot be served, and what can be done instead. `relays` may stand in front of it.
    """

    software: str
    oldest: Release
    default: Release
    whole: Text
    parts: dict[str, Text]
    objection: Callable[[Facts], str | None] = no_objection
    relays: tuple[str, ...] = field(default=())


def relay_of(facts: Facts) -> Endpoint:
    """Where a relay is asked by the resolver beside it: on loopback, at the port that our NOTIFY goes to."""
    return Endpoint("127.0.0.1", next((each.port for each in woken(facts)), RELAY_PORT))


def listeners(facts: Facts, template: str) -> list[str]:
    """Every address of a relay, as `host` and `port` in a template: for the resolver, and for our NOTIFY."""
    wanted = dict.fromkeys((relay_of(facts), *woken(facts)))
    return [template.format(host=each.host, port=each.port) for each in wanted]


def woken(facts: Facts) -> list[Endpoint]:
    """The registered targets of NOTIFY that a relay can have, since the resolver has them not."""
    targets = (parse_endpoint(each) for each in facts.notify)
    taken = facts.resolver
    here = ip_address(taken.host).is_loopback
    return [each for each in targets if each.port != taken.port or not (here or each.host == taken.host)]


def commented(prefix: str, text: str) -> str:
    """Put a comment sign in front of every line."""
    return "".join(f"{prefix} {line}".rstrip() + "\n" for line in text.splitlines())


def soa_check(facts: Facts, without_notify: str) -> str:
    """The first thing to check, whatever the software: are we reached, and who are you to us."""
    notified = ", ".join(facts.notify) or f"nobody: {without_notify}"
    return f"""\
  dig @{facts.server.host} -p {facts.server.port}{_dash_y(facts.tsig)} {facts.taken[0]} SOA +norecurse
      status: NOERROR and one SOA. REFUSED names the reason: address, key or zone.
      Registered addresses (alamat terdaftar): {", ".join(facts.addresses)}
      NOTIFY goes to (dikirim ke): {notified}
"""


def is_urgent(zone: str) -> bool:
    """Whether a zone is the one that changes all the time, and must be taken at once."""
    return zone.startswith(URGENT)


def canary_check(facts: Facts, blocked: str) -> str:
    """With layers: whether a record that passes does pass; `blocked` is how this software marks a blocked answer."""
    if not facts.layers:
        return ""
    return f"""\
  dig @{facts.resolver.host} {CANARY}
      what the DNS itself says, as NXDOMAIN from the root. A landing page, or {blocked}:
      an override makes blocks of exceptions and of lifts. Remove it, or take the whole zone
      (hapus override, atau pakai zona penuh): pulih subscriber change {facts.subscriber} --no-layers --overrides
"""


def files(named: Iterable[tuple[str, str]]) -> str:
    """Several files in one text; each begins behind a line that names it and can be printed alone."""
    return "".join(f"\n# ===== {path} =====\n{text}" for path, text in named)


def dotted(release: Release) -> str:
    return ".".join(map(str, release))


def secret_of(tsig: Tsig) -> str:
    """The secret in base64, as every configuration writes it."""
    return base64.b64encode(tsig.secret).decode()


def _dash_y(tsig: Tsig | None) -> str:
    return "" if tsig is None else f" -y {tsig.algorithm}:{tsig.name}:{secret_of(tsig)}"

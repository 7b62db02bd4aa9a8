"""NSD 4: a secondary that signs, takes increments, keeps them, and hands them on."""

from app.settings import Endpoint
from app.subscribers.snippets.knot import notify_warning
from app.subscribers.snippets.snippet import (
    Facts,
    Snippet,
    commented,
    dotted,
    listeners,
    relay_of,
    secret_of,
    soa_check,
)


def whole(facts: Facts) -> str:
    """A file to include in nsd.conf."""
    return f"{_heading(facts)}\n{statements(facts)}\n{_checks(facts)}"


def statements(facts: Facts) -> str:
    """The file without its comments: listeners, key, zone."""
    return _listen(facts) + _key(facts) + "".join(_zone(facts, zone) for zone in facts.taken)


def _heading(facts: Facts) -> str:
    mode = "" if facts.tsig is None else "; it holds a secret: chown root:nsd, chmod 640"
    return commented(
        "#",
        f"""\
Pulih, zone {facts.title} for {facts.subscriber}: NSD {dotted(facts.release)}, in front of {facts.resolver}

1. Save all of this as /etc/nsd/nsd.conf.d/pulih.conf (simpan semua ini){mode}
2. nsd-checkconf /etc/nsd/nsd.conf && systemctl restart nsd
{notify_warning(facts)}""",
    )


def _listen(facts: Facts) -> str:
    lines = "".join(f"    ip-address: {each}\n" for each in listeners(facts, "{host}@{port}"))
    return f"server:\n    # but those it listens on already: it starts with no address twice\n{lines}\n"


def _key(facts: Facts) -> str:
    if facts.tsig is None:
        return ""
    return f"""\
key:
    name: "{facts.tsig.name}"
    algorithm: {facts.tsig.algorithm}
    secret: "{secret_of(facts.tsig)}"

"""


def _zone(facts: Facts, zone: str) -> str:
    key = "NOKEY" if facts.tsig is None else facts.tsig.name
    return f"""\
zone:
    name: "{zone}"
    zonefile: "/var/lib/nsd/{zone}.zone"
    request-xfr: {_at(facts.server)} {key}
    allow-notify: {facts.server.host} {key}
    min-retry-time: 10
    max-retry-time: 60         # seconds, after a failed poll
    store-ixfr: yes            # increments for the resolver behind it (perubahan untuk resolver)
    notify: {_at(facts.resolver)} NOKEY
    provide-xfr: {facts.resolver.host} NOKEY
"""


def _at(endpoint: Endpoint) -> str:
    return f"{endpoint.host}@{endpoint.port}"


def _checks(facts: Facts) -> str:
    relay = relay_of(facts)
    return commented(
        "#",
        f"""\
Check (periksa), each with what it should say:
{soa_check(facts, "without NOTIFY a change takes up to 300 s")}\
  dig @{relay.host} -p {relay.port} {facts.taken[0]} SOA +norecurse
      the serial of the line above
""",
    )


SNIPPET = Snippet(
    software="nsd",
    oldest=(4, 5),
    default=(4, 6),
    whole=whole,
    parts={"statements": statements},
)

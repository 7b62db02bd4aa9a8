"""Knot DNS 3: a secondary that signs, takes increments, and hands them to a resolver that can not sign."""

from app.subscribers.snippets.snippet import (
    Facts,
    Snippet,
    commented,
    dotted,
    listeners,
    relay_of,
    secret_of,
    soa_check,
    woken,
)


def whole(facts: Facts) -> str:
    """A file to include in knot.conf."""
    return f"{_heading(facts)}\n{statements(facts)}\n{_checks(facts)}"


def statements(facts: Facts) -> str:
    """The file without its comments: listeners, key, the two neighbours, the zone."""
    return _listen(facts) + _key(facts) + _neighbours(facts) + _zone(facts)


def reload_checks(facts: Facts) -> str:
    """How its operator sees that it has the zone."""
    relay = relay_of(facts)
    return f"""\
  knotc zone-status {facts.taken[0]}
      role: slave, and the serial of the line above
  dig @{relay.host} -p {relay.port} {facts.taken[0]} SOA +norecurse
      the same serial
"""


def _heading(facts: Facts) -> str:
    mode = "" if facts.tsig is None else "; it holds a secret: chown root:knot, chmod 640"
    return commented(
        "#",
        f"""\
Pulih, zone {facts.title} for {facts.subscriber}: Knot DNS {dotted(facts.release)}, in front of {facts.resolver}

1. Save all of this as /etc/knot/pulih.conf (simpan semua ini){mode}
   and add to /etc/knot/knot.conf:
       include: "/etc/knot/pulih.conf"
2. knotc conf-check && systemctl restart knot
{notify_warning(facts)}""",
    )


def notify_warning(facts: Facts) -> str:
    """What is wrong with the registered NOTIFY targets, if anything is."""
    if not facts.notify:
        return "Nobody is notified: without NOTIFY a change takes up to 300 s (tanpa NOTIFY: sampai 300 s).\n"
    if not woken(facts):
        return (
            f"NOTIFY goes to {', '.join(facts.notify)}, where the resolver listens: it does not wake this relay.\n"
            f"Register again with --notify ADDRESS:{relay_of(facts).port} (daftarkan ulang).\n"
        )
    return ""


def _listen(facts: Facts) -> str:
    return f"""\
server:
    listen: [ {", ".join(listeners(facts, "{host}@{port}"))} ]

"""


def _key(facts: Facts) -> str:
    if facts.tsig is None:
        return ""
    return f"""\
key:
  - id: {facts.tsig.name}
    algorithm: {facts.tsig.algorithm}
    secret: {secret_of(facts.tsig)}

"""


def _neighbours(facts: Facts) -> str:
    key = "" if facts.tsig is None else f"\n    key: {facts.tsig.name}"
    return f"""\
remote:
  - id: pulih
    address: {facts.server.host}@{facts.server.port}{key}
  - id: pulih-resolver
    address: {facts.resolver.host}@{facts.resolver.port}

acl:
  - id: pulih-notify
    address: {facts.server.host}{key}
    action: notify
  - id: pulih-resolver          # it cannot sign: its address is all that is asked
    address: {facts.resolver.host}
    action: transfer

"""


def _zone(facts: Facts) -> str:
    return "zone:\n" + "".join(_domain(zone) for zone in facts.taken)


def _domain(zone: str) -> str:
    return f"""\
  - domain: {zone}
    master: pulih
    notify: pulih-resolver
    acl: [ pulih-notify, pulih-resolver ]
    file: "{zone}.zone"
    zonefile-sync: 1h           # changes go to the journal at once (perubahan langsung ke jurnal)
    retry-max-interval: 60      # seconds, after a failed poll
"""


def _checks(facts: Facts) -> str:
    return commented(
        "#",
        f"""\
Check (periksa), each with what it should say:
{soa_check(facts, "without NOTIFY a change takes up to 300 s")}\
{reload_checks(facts)}""",
    )


SNIPPET = Snippet(
    software="knot",
    oldest=(3, 1),
    default=(3, 2),
    whole=whole,
    parts={"statements": statements},
)

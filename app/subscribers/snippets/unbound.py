"""Unbound 1.14 and later: an `rpz:` clause; it cannot sign, so a subscriber with a key puts a relay in front."""

from ipaddress import ip_address

from app.settings import Endpoint
from app.subscribers.snippets import knot
from app.subscribers.snippets.snippet import (
    Facts,
    Snippet,
    canary_check,
    commented,
    dotted,
    files,
    relay_of,
    soa_check,
)

RELAY_RELEASE = (3, 2)


def objection(facts: Facts) -> str | None:
    """Unbound speaks no TSIG."""
    if facts.tsig is None or facts.relay is not None:
        return None
    return (
        f"{facts.subscriber} signs with a key, and Unbound knows no TSIG: it would be refused. "
        "`--relay knot` prints a Knot DNS that signs, and stands in front of Unbound; "
        "or register Unbound as a subscriber of its own, by address, without --tsig"
    )


def whole(facts: Facts) -> str:
    """One file, or with a relay two, each behind a line that names it."""
    if facts.relay is None:
        return f"{_heading(facts)}\n{resolver(facts)}\n{_checks(facts)}"
    named = (("/etc/knot/pulih.conf", relay(facts)), ("/etc/unbound/unbound.conf.d/pulih.conf", resolver(facts)))
    return f"{_relay_heading(facts)}{files(named)}\n{_checks(facts)}"


def resolver(facts: Facts) -> str:
    """What Unbound reads."""
    primary = facts.server if facts.relay is None else relay_of(facts)
    return f"""\
server:
    module-config: "respip validator iterator"   # respip applies policy zones
{_may_notify(primary)}\
{"".join(_clause(facts, primary, zone) for zone in facts.taken)}"""


def _clause(facts: Facts, primary: Endpoint, zone: str) -> str:
    return f"""\
rpz:
    name: "{zone}"
    primary: {primary.host}@{primary.port}
    allow-notify: {primary.host}{_zonefile(facts, zone)}
    rpz-log: yes
    rpz-log-name: "pulih"
"""


def relay(facts: Facts) -> str:
    """What the relay reads; nothing without one."""
    return "" if facts.relay is None else knot.statements(facts)


def _zonefile(facts: Facts, zone: str) -> str:
    """Unbound writes all of it at each change, and meanwhile answers nobody; a relay beside it has a copy anyway."""
    if facts.relay is not None:
        return ""
    return f"""
    # With it a restart without us still blocks (tetap memblokir setelah mulai ulang). It is written whole at
    # each change, 0.4 s for 300,000 names: where that is too long leave it out, or put a relay in front.
    zonefile: "/var/lib/unbound/{zone}.zone\""""


def _may_notify(primary: Endpoint) -> str:
    """Unbound refuses a NOTIFY from an address that `access-control` does not know; loopback it knows."""
    if ip_address(primary.host).is_loopback:
        return ""
    width = 128 if ":" in primary.host else 32
    return f"    access-control: {primary.host}/{width} refuse_non_local   # NOTIFY, but no recursion\n"


def _heading(facts: Facts) -> str:
    return commented(
        "#",
        f"""\
Pulih, zone {facts.title} for {facts.subscriber}: Unbound {dotted(facts.release)}

1. Save all of this as /etc/unbound/unbound.conf.d/pulih.conf (simpan semua ini).
{_order(facts)}\
2. unbound-checkconf && systemctl restart unbound
""",
    )


def _relay_heading(facts: Facts) -> str:
    signs = "" if facts.tsig is None else "; it holds a secret: chown root:knot, chmod 640"
    return commented(
        "#",
        f"""\
Pulih, zone {facts.title} for {facts.subscriber}:
Unbound {dotted(facts.release)} behind Knot DNS {dotted(RELAY_RELEASE)}
Unbound knows no TSIG: Knot asks us, and Unbound asks Knot on loopback (Unbound bertanya ke Knot).

1. apt install knot; save the first file (simpan berkas pertama){signs};
   and add to /etc/knot/knot.conf:
       include: "/etc/knot/pulih.conf"
2. knotc conf-check && systemctl restart knot
3. Save the second file (simpan berkas kedua).
{_order(facts)}\
4. unbound-checkconf && systemctl restart unbound
{knot.notify_warning(facts)}""",
    )


def _order(facts: Facts) -> str:
    keep = "   Keep the two clauses in this order, and none behind them (jangan ubah urutan).\n" if facts.layers else ""
    return f"""\
   Lists of your own are rpz: clauses in a file read before it, as in 10-own.conf: the first match wins
   (daftar sendiri di depan). Set no rpz-action-override: it turns exceptions into blocks.
   Other modules in module-config stay, behind respip.
{keep}"""


def _checks(facts: Facts) -> str:
    behind = "" if facts.relay is None else knot.reload_checks(facts)
    return commented(
        "#",
        f"""\
Check (periksa), each with what it should say:
{soa_check(facts, "without NOTIFY a change takes up to 300 s")}{behind}\
  unbound-control list_auth_zones
      {" and ".join(facts.taken)}, and the serial of the line above
  dig @{facts.resolver.host} NAME-FROM-THE-LIST
      the blocked answer; Unbound adds neither SOA nor EDE. Its log: applied [pulih]
{canary_check(facts, "in its log anything else of it than rpz-passthru")}\
""",
    )


SNIPPET = Snippet(
    software="unbound",
    oldest=(1, 14),
    default=(1, 17),
    whole=whole,
    parts={"resolver": resolver, "relay": relay},
    objection=objection,
    relays=("knot",),
)

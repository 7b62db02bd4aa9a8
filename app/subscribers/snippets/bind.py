"""BIND 9.18 and later: a secondary zone, and the response policy that takes it in."""

from app.subscribers.keys import Tsig
from app.subscribers.snippets.snippet import (
    Facts,
    Snippet,
    canary_check,
    commented,
    dotted,
    secret_of,
    soa_check,
)

EDE_SINCE = (9, 20)
"""The first release that knows `ede`; older ones refuse the configuration."""


def whole(facts: Facts) -> str:
    """A file to include at the top level; what `options` needs stands in it as a comment, ready to be copied."""
    return f"{_heading(facts)}\n{statements(facts)}\n{_checks(facts)}"


def statements(facts: Facts) -> str:
    """The top level: the key and the secondary zone."""
    return _key(facts.tsig) + "\n".join(_zone(facts, zone) for zone in facts.taken)


def options(facts: Facts) -> str:
    """What goes into `options` (or `view`): there may be one `response-policy` only, so it is one line."""
    ede = " ede censored" if facts.release >= EDE_SINCE else ""
    zones = " ".join(f'zone "{zone}" policy given log yes min-update-interval 0{ede};' for zone in facts.taken)
    return f"response-policy {{ {zones} }} qname-wait-recurse no break-dnssec yes;\n"


def _heading(facts: Facts) -> str:
    return f"""\
// Pulih, zone {facts.title} for {facts.subscriber}: BIND {dotted(facts.release)}
//
// 1. Save all of this as /etc/bind/pulih.conf (simpan semua ini){_mode(facts)}
//    and add to /etc/bind/named.conf:
//        include "/etc/bind/pulih.conf";
// 2. Put this one line inside options {{ ... }}, in Debian /etc/bind/named.conf.options
//    (taruh satu baris ini di dalam options):
//        {options(facts).strip()}
//    Lists of your own go in front of ours, in the same braces: the first match wins.{_one_list(facts)}
//    Keep `policy given`: any other policy turns exceptions into blocks.
// 3. named-checkconf && rndc reconfig
"""


def _one_list(facts: Facts) -> str:
    if not facts.layers:
        return ""
    return (
        "\n//    Keep the two in this order, and no list behind them: what passes in the first passes there too"
        "\n//    (jangan ubah urutan; jangan taruh daftar lain di belakang)."
    )


def _key(tsig: Tsig | None) -> str:
    if tsig is None:
        return ""
    return f"""\
key "{tsig.name}" {{
    algorithm {tsig.algorithm};
    secret "{secret_of(tsig)}";
}};

"""


def _zone(facts: Facts, zone: str) -> str:
    key = "" if facts.tsig is None else f' key "{facts.tsig.name}"'
    return f"""\
zone "{zone}" {{
    type secondary;
    file "{zone}.db";
    // NOTIFY from this address needs no allow-notify (tidak perlu allow-notify)
    primaries {{ {facts.server.host} port {facts.server.port}{key}; }};
    request-ixfr yes;           // changes only, not the whole zone (hanya perubahan)
    min-retry-time 60;          // BIND would wait 500 s after a failed poll
    notify no;
    allow-query {{ localhost; }}; // the list is not for customers (bukan untuk pelanggan)
    allow-transfer {{ none; }};
}};
"""


def _checks(facts: Facts) -> str:
    return commented(
        "//",
        f"""\
Check (periksa), each with what it should say:
{soa_check(facts, "without NOTIFY a change takes up to 300 s")}\
  rndc zonestatus {facts.taken[0]}
      the serial of the line above
  dig @127.0.0.1 NAME-FROM-THE-LIST
      the blocked answer, with the SOA of {" or ".join(facts.taken)} in the additional section
{canary_check(facts, f"the SOA of {facts.taken[0]} in the additional section")}\
""",
    )


def _mode(facts: Facts) -> str:
    return "" if facts.tsig is None else "; it holds a secret:\n//        chown root:bind, chmod 640"


SNIPPET = Snippet(
    software="bind",
    oldest=(9, 18),
    default=(9, 18),
    whole=whole,
    parts={"statements": statements, "options": options},
)

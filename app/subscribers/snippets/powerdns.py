"""PowerDNS Recursor: a policy zone that it polls (4.x: it hears no NOTIFY), or is notified of (from 5.1).

4.x and 5.0 read Lua and `name=value`; from 5.1 on there is a form in YAML, and from 5.2 on only that is read
unless it is told otherwise.
"""

from app.subscribers.snippets.snippet import (
    Facts,
    Snippet,
    Text,
    canary_check,
    commented,
    dotted,
    files,
    is_urgent,
    secret_of,
    soa_check,
)

YAML_SINCE = (5, 1)
INCLUDE_SOA_SINCE = (4, 9)

FOLDER = "/var/lib/pulih"

REFRESH = 10
"""Seconds between two polls of a resolver that hears no NOTIFY."""

URGENT_REFRESH = 5
SECOND_REFRESH = 60
"""The same in layers; the second also where NOTIFY is heard."""

PACKETS = 5
"""Seconds that it may keep a whole answer: one from before a lift or a block is given that long."""

CENSORED = 16
"""EDE (RFC 8914): the answer is one that somebody outside demanded."""

CHECKS = """\
Check (periksa), each with what it should say:
{soa}\
  journalctl -u pdns-recursor | grep {zone}
      'RPZ load completed', then 'RPZ mutations' at each change
  dig @{resolver} NAME-FROM-THE-LIST
      the blocked answer, with EDE: 16 (Censored)
"""


def whole(facts: Facts) -> str:
    """Two files in Lua and `name=value`, or one in YAML."""
    if facts.release >= YAML_SINCE:
        return f"{_yaml_heading(facts)}\n{settings(facts)}{policy(facts)}\n{_checks(facts)}"
    named = (("/etc/powerdns/pulih.lua", policy(facts)), ("/etc/powerdns/recursor.d/pulih.conf", settings(facts)))
    return f"{_lua_heading(facts)}{files(named)}\n{_checks(facts)}"


def settings(facts: Facts) -> str:
    """How long whole answers are kept, and whose NOTIFY is heard."""
    return _yaml_settings(facts) if facts.release >= YAML_SINCE else f"packetcache-ttl={PACKETS}\n"


def policy(facts: Facts) -> str:
    """The policy zone."""
    return _yaml_policy(facts) if facts.release >= YAML_SINCE else _lua_policy(facts)


def _lua_policy(facts: Facts) -> str:
    return "".join(_lua_zone(facts, zone) for zone in facts.taken)


def _lua_zone(facts: Facts, zone: str) -> str:
    soa = "\n    includeSOA = true," if facts.release >= INCLUDE_SOA_SINCE else ""
    return f"""\
rpzPrimary({{"{facts.server}"}}, "{zone}", {{{_lua_tsig(facts)}
    refresh = {_refresh(facts, zone)}, -- seconds: it hears no NOTIFY, so it polls (tidak mendengar NOTIFY)
    axfrTimeout = 600, -- seconds in all, for increments too: at the default of 20 a large zone never arrives
    extendedErrorCode = {CENSORED}, -- EDE: Censored
    extendedErrorExtra = "{_reason(facts)}",{soa}
    seedFile = "{_file(zone)}", -- it blocks after a restart without us
    dumpFile = "{_file(zone)}", -- (tetap memblokir setelah mulai ulang)
}})
"""


def _lua_tsig(facts: Facts) -> str:
    if facts.tsig is None:
        return ""
    return f"""
    tsigname = "{facts.tsig.name}",
    tsigalgo = "{facts.tsig.algorithm}",
    tsigsecret = "{secret_of(facts.tsig)}","""


def _yaml_settings(facts: Facts) -> str:
    return f"""\
incoming:
  allow_notify_for: [ {", ".join(f'"{zone}"' for zone in facts.taken)} ]
  allow_notify_from: [ "{facts.server.host}" ]
packetcache:
  ttl: {PACKETS}
  negative_ttl: {PACKETS}
"""


def _yaml_policy(facts: Facts) -> str:
    return "recursor:\n  rpzs:\n" + "".join(_yaml_zone(facts, zone) for zone in facts.taken)


def _yaml_zone(facts: Facts, zone: str) -> str:
    poll = SECOND_REFRESH if facts.notify else _refresh(facts, zone)
    return f"""\
    - name: "{zone}"
      addresses: [ "{facts.server}" ]{_yaml_tsig(facts)}
      refresh: {poll}   # seconds, should no NOTIFY arrive (bila NOTIFY tidak sampai)
      axfrTimeout: 600   # seconds in all, for increments too: at the default of 20 a large zone never arrives
      extendedErrorCode: {CENSORED}   # EDE: Censored
      extendedErrorExtra: "{_reason(facts)}"
      includeSOA: true
      seedFile: "{_file(zone)}"   # it blocks after a restart without us
      dumpFile: "{_file(zone)}"   # (tetap memblokir setelah mulai ulang)
"""


def _yaml_tsig(facts: Facts) -> str:
    if facts.tsig is None:
        return ""
    return f"""
      tsig:
        name: "{facts.tsig.name}"
        algo: "{facts.tsig.algorithm}"
        secret: "{secret_of(facts.tsig)}\""""


def _reason(facts: Facts) -> str:
    """What a user's machine is told. Settings hold no quotation mark: see `objection`."""
    return f"Diblokir atas perintah / blocked by order: {facts.site}"


def _file(zone: str) -> str:
    return f"{FOLDER}/{zone}"


def _refresh(facts: Facts, zone: str) -> int:
    """Seconds between two polls: of layers the first one is asked for more often, since the other rarely changes."""
    if not facts.layers:
        return REFRESH
    return URGENT_REFRESH if is_urgent(zone) else SECOND_REFRESH


def _lua_heading(facts: Facts) -> str:
    return commented(
        "#",
        f"""\
Pulih, zone {facts.title} for {facts.subscriber}: PowerDNS Recursor {dotted(facts.release)}

1. Save the first file (simpan berkas pertama){_mode(facts)}
   and add to /etc/powerdns/recursor.lua, behind lists of your own: the first match wins (daftar sendiri di depan):
       dofile("/etc/powerdns/pulih.lua")
   Set no defpol: it turns exceptions into blocks.{_one_list(facts)}
2. Save the second file (simpan berkas kedua).
3. install -d -o pdns -g pdns {FOLDER}
4. pdns_recursor --config=check && systemctl restart pdns-recursor
""",
    )


def _yaml_heading(facts: Facts) -> str:
    return commented(
        "#",
        f"""\
Pulih, zone {facts.title} for {facts.subscriber}: PowerDNS Recursor {dotted(facts.release)}

1. Save all of this as /etc/powerdns/recursor.d/pulih.yml (simpan semua ini){_mode(facts)}
   Lists of your own stand in a file read before it, as in 10-own.yml: the first match wins (daftar sendiri di depan).
   Set no defpol: it turns exceptions into blocks. It cannot stand beside a lua_config_file.{_one_list(facts)}
2. install -d -o pdns -g pdns {FOLDER}
3. pdns_recursor --config=check && systemctl restart pdns-recursor
""",
    )


def _one_list(facts: Facts) -> str:
    return "\n   Keep the two in this order, and none behind them (jangan ubah urutan)." if facts.layers else ""


def _mode(facts: Facts) -> str:
    return "" if facts.tsig is None else "; it holds a secret:\n       chown root:pdns, chmod 640"


def _checks(facts: Facts) -> str:
    polls = f"it polls every {_refresh(facts, facts.taken[0])} s"
    text = CHECKS.format(soa=soa_check(facts, polls), resolver=facts.resolver.host, zone=facts.zone)
    return commented("#", text + canary_check(facts, "EDE: 16"))


PARTS: dict[str, Text] = {"settings": settings, "policy": policy}

SNIPPET = Snippet(
    software="powerdns",
    oldest=(4, 6),
    default=(4, 8),
    whole=whole,
    parts=PARTS,
)

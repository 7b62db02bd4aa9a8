"""Knot Resolver: it takes no zone transfer, so a file is fetched over HTTP, checked, and put in the old one's place."""

from app.subscribers.snippets.snippet import Facts, Snippet, Text, commented, dotted, files

YAML_SINCE = (6, 0)
FOLDER = "/var/lib/pulih"
HEADER = "/etc/knot-resolver/pulih.header"
SCRIPT = "/usr/local/sbin/pulih-fetch"

EVERY = 15
"""Seconds between two questions for a newer file; where there is none the answer is short (304)."""


def objection(facts: Facts) -> str | None:
    """It takes a file, and so the whole zone; 5.x ignores every CNAME target that is not a policy action."""
    if facts.layers:
        return "Knot Resolver reads a file, at each change all of it: there is nothing that layers could spare it"
    if facts.action.target is None or facts.release >= YAML_SINCE:
        return None
    return (
        f"{facts.zone} redirects to {facts.action.target}, and Knot Resolver {dotted(facts.release)} ignores "
        "such records: nothing would be blocked. Choose a zone that answers nxdomain or nodata with --zone"
    )


def whole(facts: Facts) -> str:
    """Four files, each behind a line that names it."""
    name = "config.yaml" if facts.release >= YAML_SINCE else "kresd.conf"
    named = (
        (f"add to /etc/knot-resolver/{name}", policy(facts)),
        (SCRIPT, script(facts)),
        ("/etc/systemd/system/pulih-fetch.service", service(facts)),
        ("/etc/systemd/system/pulih-fetch.timer", timer(facts)),
    )
    return f"{_heading(facts)}{files(named)}\n{_checks(facts)}"


def policy(facts: Facts) -> str:
    """What Knot Resolver reads: Lua, or from 6.0 on YAML."""
    if facts.release >= YAML_SINCE:
        return f"""\
local-data:
  rpz:
    - file: {FOLDER}/{facts.zone}
      watchdog: true
"""
    return f"""\
local pulih = policy.rpz(
    policy.DENY_MSG('{_reason(facts)}', kres.extended_error.CENSORED),
    '{FOLDER}/{facts.zone}', true) -- true: it is read again when it changes (dibaca ulang bila berubah)
policy.add(function (request, query)
    local action = pulih(request, query)
    -- PASS would also pass by your rules behind this one, as those that forward (pengecualian tetap diteruskan)
    if action ~= policy.PASS then return action end
end)
"""


def script(facts: Facts) -> str:
    """Fetch, check, rename. It says nothing where nothing is new, and ends with 1 where the new file is bad."""
    return f"""\
#!/bin/sh
# Fetches {facts.zone}. The old file stays until a whole one is there (berkas lama tetap sampai yang baru utuh).
set -eu
umask 022
cd {FOLDER}
new=$(mktemp -d .fetch.XXXXXX)
trap 'rm -rf "$new"' EXIT
[ -e {facts.zone} ] || rm -f {facts.zone}.etag

keep() {{ echo "pulih-fetch: $1: the old file stays" >&2; exit 1; }}

status=$(curl --silent --show-error --compressed --connect-timeout 10 --max-time 600 \\
    --header @{HEADER} --etag-compare {facts.zone}.etag --etag-save "$new/etag" \\
    --dump-header "$new/headers" --output "$new/zone" --write-out '%{{http_code}}' \\
    '{facts.site}/api/v1/zones/{facts.zone}/export.rpz') || keep "not fetched"
[ "$status" != 304 ] || exit 0
[ "$status" = 200 ] || keep "HTTP status $status"

promised=$(tr -d '\\r' <"$new/headers" | sed -n 's/^x-content-sha256: *//Ip')
[ "$(sha256sum <"$new/zone" | cut -c 1-64)" = "$promised" ] || keep "not the SHA-256 that was promised"

serial() {{ awk '$4 == "SOA" {{ print $7; exit }}' "$1"; }}
sum=$(head -n -1 "$new/zone" | sha256sum | cut -c 1-64)
lines=$(($(wc -l <"$new/zone") - 1))
[ "$(tail -n 1 "$new/zone")" = "; end: serial=$(serial "$new/zone") lines=$lines sha256=$sum" ] || keep "cut off"
[ ! -e {facts.zone} ] || [ "$(serial "$new/zone")" -ge "$(serial {facts.zone})" ] || keep "older"

sync "$new/zone"
mv "$new/zone" {facts.zone}
mv "$new/etag" {facts.zone}.etag
echo "pulih-fetch: {facts.zone} has serial $(serial {facts.zone})"
"""


def service(facts: Facts) -> str:
    """The unit that runs the script, as the user that may read the token, writing to one folder alone."""
    return f"""\
[Unit]
Description=Fetch the policy zone {facts.zone}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={SCRIPT}
User=knot-resolver
StateDirectory={FOLDER.rpartition("/")[2]}
ProtectSystem=strict
PrivateTmp=yes
NoNewPrivileges=yes
"""


def timer(facts: Facts) -> str:
    """The unit that starts it again and again."""
    return f"""\
[Unit]
Description=Ask for a newer policy zone {facts.zone}

[Timer]
OnActiveSec=0
OnUnitInactiveSec={EVERY}
AccuracySec=1

[Install]
WantedBy=timers.target
"""


def _heading(facts: Facts) -> str:
    return commented(
        "#",
        f"""\
Pulih, zone {facts.zone} for {facts.subscriber}: Knot Resolver {dotted(facts.release)}
It takes no zone transfer: a timer fetches a file over HTTP every {EVERY} s (berkas diambil lewat HTTP).

1. {_packages(facts)}
2. Save the token of {facts.subscriber} (simpan token), as user root:
       umask 077 && printf 'Authorization: Bearer %s\\n' TOKEN >{HEADER}
       chown knot-resolver {HEADER}     # mode 0600
3. Save the files below; the first goes in front of other rules, behind lists of your own: the first match wins
   (simpan berkas berikut; daftar sendiri di depan).
4. chmod 755 {SCRIPT}
   systemctl daemon-reload && systemctl start pulih-fetch && systemctl enable --now pulih-fetch.timer
5. {_restart(facts)}
{_warning(facts)}""",
    )


def _packages(facts: Facts) -> str:
    if facts.release >= YAML_SINCE:
        return "apt install curl python3-watchdog   (watchdog: from 6.0.12 on)"
    return "apt install curl lua-cqueues   (without it a changed file is not read again)"


def _restart(facts: Facts) -> str:
    return "kresctl reload" if facts.release >= YAML_SINCE else "systemctl restart 'kresd@*'   (the file must be there)"


def _warning(facts: Facts) -> str:
    """Where this software reads rules otherwise than they are meant."""
    if facts.release < YAML_SINCE:
        return ""
    return (
        "\nTAKE CARE (hati-hati): Knot Resolver 6 reads an exact rule as a rule for everything below it, and skips\n"
        "exceptions: it blocks more than was ordered. Prefer 5.x, or another resolver.\n"
    )


def _reason(facts: Facts) -> str:
    return f"Diblokir atas perintah / blocked by order: {facts.site}"


def _checks(facts: Facts) -> str:
    extra = "" if facts.release >= YAML_SINCE else ", with EDE: 16 (Censored)"
    return commented(
        "#",
        f"""\
Check (periksa), each with what it should say:
  curl --header @{HEADER} {facts.site}/api/v1/subscribers/me
      who you are to us. 401: the token is wrong (token salah).
  systemctl status pulih-fetch
      'has serial' at each change; 'the old file stays' where something was wrong, and what
  dig @{facts.resolver.host} NAME-FROM-THE-LIST
      the blocked answer{extra}
""",
    )


PARTS: dict[str, Text] = {"policy": policy, "script": script, "service": service, "timer": timer}

SNIPPET = Snippet(
    software="knot-resolver",
    oldest=(5, 4),
    default=(5, 6),
    whole=whole,
    parts=PARTS,
    objection=objection,
)

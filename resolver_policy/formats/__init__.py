"""The export formats of a zone, each a module of its own: rules in, octets out, both streamed."""

from resolver_policy.formats import adblock, cdb, dnsmasq, domains, hosts, reasons, rpz, unbound
from resolver_policy.formats.format import Contents, Format, Holder, Whole
from resolver_policy.formats.lines import Lines

FORMATS: tuple[Format, ...] = (
    rpz.FORMAT,
    domains.FORMAT,
    hosts.FORMAT,
    dnsmasq.FORMAT,
    unbound.FORMAT,
    adblock.FORMAT,
    cdb.FORMAT,
    reasons.CSV,
    reasons.JSON_LINES,
)


def by_name(name: str) -> Format | None:
    """Find a format by the name that users give."""
    return next((each for each in FORMATS if each.name == name), None)


__all__ = ["FORMATS", "Contents", "Format", "Holder", "Lines", "Whole", "by_name"]

"""The export formats of a zone, each a module of its own: rules in, text out, both streamed."""

from resolver_policy.formats import domains, rpz
from resolver_policy.formats.format import Format

FORMATS: tuple[Format, ...] = (rpz.FORMAT, domains.FORMAT)


def by_name(name: str) -> Format | None:
    """Find a format by the name that users give."""
    return next((each for each in FORMATS if each.name == name), None)


__all__ = ["FORMATS", "Format", "by_name"]

"""A subscriber's DNS client: dnspython against a running installation."""

from typing import Any

import dns.tsig


def tsig_key(added: dict[str, Any]) -> dns.tsig.Key:
    """The key that `subscriber add --tsig --json` printed, as a dnspython client holds it."""
    printed = added["tsig"]
    return dns.tsig.Key(printed["name"], printed["secret"], printed["algorithm"])

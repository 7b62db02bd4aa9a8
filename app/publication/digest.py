"""The zone digest: SHA-256 of a sum over all rules, so that a change costs itself, however large the zone is.

Each rule, written as `KEY OWN WILD`, is stretched to 504 octets by SHAKE-128 (three blocks of it) and read as a
number, the first octet the highest; the numbers are added modulo 2**4032, in any order. To find two sets of rules with
one sum takes more than 2**120 steps: with so long a sum, the generalised birthday attack, 2**(2 * sqrt(4032)) at best.
"""

import hashlib
from collections.abc import Iterable

from resolver_policy.delta import EMPTY_RULE, Change, Rule

OCTETS = 504
MODULUS = 1 << 8 * OCTETS


def rule_number(key: str, rule: Rule) -> int:
    """What one rule adds to the sum."""
    line = b"%b %d %d" % (key.encode(), rule.own, rule.wild)
    return int.from_bytes(hashlib.shake_128(line).digest(OCTETS), "big")


def sum_of(changes: Iterable[Change]) -> int:
    """What changes add to the sum of the rules that they change; it may be negative, or above the modulus."""
    total = 0
    for key, old, new in changes:
        if new != EMPTY_RULE:
            total += rule_number(key, new)
        if old != EMPTY_RULE:
            total -= rule_number(key, old)
    return total


def stored(rules_sum: int) -> bytes:
    """A sum as it is kept, and as its digest is taken."""
    return (rules_sum % MODULUS).to_bytes(OCTETS, "big")


def of_sum(octets: bytes) -> bytes:
    """The digest of a zone whose rules have this sum."""
    return hashlib.sha256(octets).digest()

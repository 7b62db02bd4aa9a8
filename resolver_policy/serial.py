"""Zone serials: they only grow, read plainly as well as by RFC 1982."""

from resolver_policy.errors import SerialExhausted

HIGHEST = 2**32 - 1
HALF = 2**31


def next_serial(previous: int, high_water: int, floor: int, now_unix: int) -> int:
    """Give the serial of the next release: one more than any known, or the unix time where that is larger.

    `high_water` is the highest ever served, `floor` what an earlier feed of this zone had reached. A clock
    beyond the last serial is not followed. SerialExhausted past the last one: it never wraps.
    """
    serial = max(previous, high_water, floor) + 1
    if serial < now_unix <= HIGHEST:
        serial = now_unix
    if serial > HIGHEST:
        raise SerialExhausted(f"no serial left after {serial - 1}", value=str(serial), rule="serial_exhausted")
    return serial


def compare(one: int, other: int) -> int | None:
    """Compare as RFC 1982 section 3.2 does: -1 older, 0 equal, 1 newer, None where it is undefined."""
    distance = (one - other) % (HIGHEST + 1)
    if distance == HALF:
        return None
    if distance == 0:
        return 0
    return 1 if distance < HALF else -1

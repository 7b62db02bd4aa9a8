from random import Random

import pytest

from resolver_policy.errors import SerialExhausted
from resolver_policy.serial import compare, next_serial
from tests.policy.scale import scaled

LAST = 2**32 - 1


def test_the_unix_time_where_it_is_larger() -> None:
    assert next_serial(previous=0, high_water=0, floor=0, now_unix=1_795_500_000) == 1_795_500_000


def test_one_more_than_the_highest_known_otherwise() -> None:
    assert next_serial(previous=1_795_500_000, high_water=0, floor=0, now_unix=1_795_500_000) == 1_795_500_001
    assert next_serial(previous=5, high_water=9, floor=7, now_unix=0) == 10
    assert next_serial(previous=5, high_water=6, floor=2_026_112_201, now_unix=1_795_500_000) == 2_026_112_202


def test_a_clock_that_went_back_does_not_take_the_serial_with_it() -> None:
    assert next_serial(previous=1_795_500_000, high_water=0, floor=0, now_unix=1_000_000_000) == 1_795_500_001


def test_a_clock_beyond_the_last_serial_is_not_followed() -> None:
    assert next_serial(previous=7, high_water=0, floor=0, now_unix=LAST + 1) == 8
    assert next_serial(previous=7, high_water=0, floor=0, now_unix=LAST) == LAST


def test_it_never_wraps() -> None:
    assert next_serial(previous=LAST - 1, high_water=0, floor=0, now_unix=0) == LAST
    with pytest.raises(SerialExhausted) as refused:
        next_serial(previous=LAST, high_water=0, floor=0, now_unix=0)
    assert refused.value.code == "state_conflict"


def test_serials_grow_by_both_comparisons() -> None:
    random, serial = Random(1982), 1
    for _ in range(scaled(2000)):
        later = next_serial(serial, random.randrange(serial + 9), random.randrange(9), random.randrange(2**31))
        assert later > serial
        assert compare(later, serial) == 1
        serial = later


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (1, 1, 0),
        (2, 1, 1),
        (1, 2, -1),
        (0, LAST, 1),
        (LAST, 0, -1),
        (2**31 - 1, 0, 1),
        (2**31, 0, None),
        (0, 2**31, None),
        (2**31 + 1, 0, -1),
        (44, 144, -1),
    ],
)
def test_comparison_of_rfc_1982(one: int, other: int, wanted: int | None) -> None:
    assert compare(one, other) == wanted

"""Who gets a place where there are few: the rules alone, without sockets, at times that the test says."""

from ipaddress import IPv4Address

from app.transfer.limits import Limits
from app.transfer.room import Room, Seat
from tests.policy.scale import Record, scaled, seeded, tell

SMALL = Limits(
    connections=10,
    unknown_connections=4,
    per_subscriber=5,
    per_known_address=3,
    per_unknown_address=2,
    gives_way_after=10,
)


def at(number: int) -> str:
    return str(IPv4Address(0x7F010000 + number))


class Visitors:
    """Connections that come to a room, and those that were broken off to make way, in their order."""

    def __init__(self, limits: Limits = SMALL) -> None:
        self.room = Room(limits)
        self.ended: list[str] = []

    def come(self, label: str, address: str, *names: str, now: float = 0) -> Seat | None:
        return self.room.take(address, names, now, lambda: self.ended.append(label))

    def fill(self, name: str, count: int, first: int, now: float = 0) -> list[Seat]:
        """Connections of one subscriber, each from an address of its own."""
        seats = [self.come(f"{name} {number}", at(first + number), name, now=now) for number in range(count)]
        assert None not in seats
        return [seat for seat in seats if seat is not None]


def test_subscriber_with_many_addresses_takes_its_share_and_leaves_the_rest() -> None:
    visitors = Visitors()
    visitors.fill("isp-one", 5, first=0)
    assert visitors.come("one too many", at(50), "isp-one") is None
    visitors.fill("isp-two", 5, first=100)
    assert visitors.ended == []


def test_address_of_a_subscriber_has_a_share_too() -> None:
    visitors = Visitors()
    for number in range(3):
        assert visitors.come(str(number), at(1), "isp-one")
    assert visitors.come("one too many", at(1), "isp-one") is None
    assert visitors.come("from elsewhere", at(2), "isp-one")


def test_connection_longest_without_progress_gives_way_to_a_new_one_of_its_subscriber() -> None:
    visitors = Visitors()
    first, *_ = visitors.fill("isp-one", 5, first=0)
    visitors.room.move(first, 9)
    assert visitors.come("too early", at(50), "isp-one", now=9.9) is None
    assert visitors.come("later", at(50), "isp-one", now=10)
    assert visitors.ended == ["isp-one 1"]
    assert len(visitors.room) == 5


def test_connections_that_get_on_give_way_to_none() -> None:
    visitors = Visitors()
    for seat in visitors.fill("isp-one", 5, first=0):
        visitors.room.move(seat, 995)
    assert visitors.come("new", at(50), "isp-one", now=1000) is None
    assert visitors.ended == []


def test_whoever_holds_the_most_loses_one_where_all_is_taken() -> None:
    visitors = Visitors(Limits(connections=10, per_subscriber=8))
    visitors.fill("isp-one", 3, first=0)
    visitors.fill("isp-two", 7, first=100)
    assert visitors.come("isp-three", at(200), "isp-three")
    assert visitors.come("isp-three", at(201), "isp-three")
    assert visitors.ended == ["isp-two 0", "isp-two 1"]
    assert visitors.come("the largest itself", at(107), "isp-two") is None
    assert len(visitors.room) == 10


def test_room_that_is_shared_evenly_is_left_as_it_is() -> None:
    visitors = Visitors()
    visitors.fill("isp-one", 5, first=0)
    visitors.fill("isp-two", 5, first=100)
    for number in range(3):
        assert visitors.come(f"isp-three {number}", at(200 + number), "isp-three", now=1)
    assert visitors.come("one too many", at(210), "isp-three", now=1) is None
    assert visitors.ended == ["isp-one 0", "isp-two 0", "isp-one 1"]


def test_strangers_have_little_and_never_take_from_subscribers() -> None:
    visitors = Visitors()
    assert all(visitors.come(str(number), at(number // 2)) for number in range(4))
    assert visitors.come("a fifth", at(9)) is None
    assert visitors.come("a third of one address", at(0)) is None
    visitors.fill("isp-one", 5, first=100)
    visitors.fill("isp-two", 3, first=200)
    assert visitors.ended == ["0", "1"]
    assert visitors.come("when all is taken", at(10)) is None


def test_connection_counts_to_the_subscriber_of_its_address_that_has_the_fewest() -> None:
    visitors = Visitors()
    visitors.fill("wide", 5, first=0)
    seat = visitors.come("in both ranges", at(50), "wide", "isp-one")
    assert seat is not None
    assert seat.subscriber == "isp-one"


def test_place_is_given_back_once() -> None:
    visitors = Visitors()
    (seat,) = visitors.fill("isp-one", 1, first=0)
    visitors.room.leave(seat)
    visitors.room.leave(seat)
    visitors.room.move(seat, 5)
    assert len(visitors.room) == 0
    assert all(not held for name, held in vars(visitors.room).items() if name != "_limits")


def test_no_sequence_of_comings_and_goings_breaks_a_limit(record_property: Record) -> None:
    chance, visitors, steps = seeded(3), Visitors(), scaled(20_000)
    held: dict[Seat, None] = {}
    for now in range(steps):
        if held and chance.random() < 0.4:
            visitors.room.leave(seat := chance.choice(list(held)))
            held.pop(seat)
        elif held and chance.random() < 0.4:
            visitors.room.move(chance.choice(list(held)), now)
        else:
            names = chance.choice(((), ("isp-one",), ("isp-two",), ("isp-one", "wide"), ("isp-three",)))
            seat_ = visitors.come("", at(chance.randrange(12) + 100 * len("".join(names))), *names, now=now)
            if seat_ is not None:
                held[seat_] = None
        held = {seat: None for seat in held if seat.circles}
        _assert_within(SMALL, list(held))
        assert len(visitors.room) == len(held)
    tell(record_property, comings_and_goings=steps, broken_off=len(visitors.ended))


def _assert_within(limits: Limits, held: list[Seat]) -> None:
    assert len(held) <= limits.connections
    for name in {seat.subscriber for seat in held}:
        most = limits.unknown_connections if name is None else limits.per_subscriber
        assert sum(seat.subscriber == name for seat in held) <= most
    for address in {seat.address for seat in held}:
        most = max(
            limits.per_known_address if seat.known else limits.per_unknown_address
            for seat in held
            if seat.address == address
        )
        assert sum(seat.address == address for seat in held) <= most

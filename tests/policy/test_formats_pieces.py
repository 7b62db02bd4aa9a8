"""Files put together from pieces that earlier files had: the same octets as made in one go, whatever changed."""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence

import pytest

from resolver_policy import formats
from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.errors import NameInvalid
from resolver_policy.formats import Contents, Lines, adblock, dnsmasq, domains, rpz, unbound
from resolver_policy.formats import pieces as made_of_pieces
from resolver_policy.formats.pieces import Piece, cut, piece, pieces
from resolver_policy.formats.walk import Path
from resolver_policy.version import ZoneVersion
from resolver_policy.wire import Zone, lines_of, render, rules_in
from tests.policy.scale import Record, scaled, seeded, tell
from tests.policy.test_regions import History, recompute
from tests.policy.worlds import MemoryStore
from tests.policy.zones import EVERY_RULE, EXACT, OPEN, SUBTREE, key, many_rules, rules_of, version, zone

CUT = tuple(chosen for chosen in formats.FORMATS if isinstance(chosen, Lines))

HISTORIES = scaled(40)
STEPS = 25

Pool = dict[bytes, Piece]


def put_together(chosen: Lines, of: Zone, ranges: Iterable[bytes], pool: Pool, serial: int = 7) -> bytes:
    """A file, of the pieces in the pool as far as they go; those that are made come into it."""
    found = list(pieces(chosen, of, serial, ranges, pool.get))
    pool.update({each.id: each for each in found if each.id})
    above = b"".join(each.plain for each in found)
    ended = piece(chosen.end(serial, above.count(b"\n"), hashlib.sha256(above).hexdigest()))
    assert inflated([*found, ended]) == above + ended.plain, "the compressed form says something else"
    return above + ended.plain


def inflated(found: Sequence[Piece]) -> bytes:
    """What the streams say together, and that each of them says its own without the others."""
    for each in found:
        assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(each.packed) == each.plain
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    octets = stream.decompress(b"".join(each.packed for each in found) + b"\x03\x00")
    assert stream.eof
    return octets


def whole(chosen: Lines, of: Zone, rules: Iterable[tuple[str, Rule]], serial: int = 7) -> bytes:
    return b"".join(chosen.render(Contents(of, serial, list(rules))))


def ranges_of(now: ZoneVersion) -> list[bytes]:
    return [part.lines for part in now.ranges]


def in_ranges(rules: Iterable[tuple[str, Rule]], of: Zone, octets: int, serial: int) -> ZoneVersion:
    """A version in ranges of so many octets of messages."""
    return ZoneVersion.of(render(rules, of, of.start + octets), of, serial)


def run(histories: int) -> tuple[int, int]:
    """Random histories in random zones, each version in every format, all with one pool: how many files were put
    together, and how many pieces were made for them."""
    pool: Pool = {}
    files = 0
    for seed in range(histories):
        random = seeded(f"pieces {seed}")
        of = zone(random.choice(("nxdomain", "nodata", "redirect:landing.example")), random.choice(("a.rpz", "b.rpz")))
        history = History(random.getrandbits(40), recompute, MemoryStore())
        now = in_ranges([], of, 200, 1)
        for serial in range(2, STEPS + 2):
            history.step()
            written = [Change(f"example.{key}", old, new) for key, old, new in history.store.written]
            now = now.changed(sorted(written), serial)
            if random.random() < 0.1:
                now = in_ranges(now.rules(), of, random.randint(100, 400), serial)
            for chosen in CUT:
                made = put_together(chosen, of, ranges_of(now), pool, serial)
                assert made == whole(chosen, of, now.rules(), serial), "not the whole rendering"
                files += 1
    return files, len(pool)


@pytest.mark.long
def test_pieces_give_what_the_whole_rendering_gives(record_property: Record) -> None:
    files, made = run(HISTORIES)
    tell(record_property, files=files, pieces_made=made)


def without_the_state(plant: pytest.MonkeyPatch) -> None:
    identify = made_of_pieces.id_of
    plant.setattr(made_of_pieces, "id_of", lambda about, _state, lines: identify(about, b"", lines))


def without_zone_and_format(plant: pytest.MonkeyPatch) -> None:
    identify = made_of_pieces.id_of
    plant.setattr(made_of_pieces, "id_of", lambda _about, state, lines: identify(b"", state, lines))


def without_what_a_copied_piece_says(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Path, "load", lambda _state: Path())


@pytest.mark.parametrize("bug", [without_the_state, without_zone_and_format, without_what_a_copied_piece_says])
def test_the_same_check_catches_a_planted_bug(
    bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    with pytest.raises(AssertionError, match="not the whole rendering"):
        run(20)


@pytest.mark.parametrize("chosen", CUT, ids=lambda chosen: str(chosen.name))
def test_one_changed_name_makes_one_piece_anew(chosen: Lines) -> None:
    before, pool = version(many_rules(5000)), Pool()
    put_together(chosen, before.zone, ranges_of(before), pool)
    first = set(pool)
    now = before.changed([Change("id.co.new.", EMPTY_RULE, EXACT)], 2)

    made = put_together(chosen, now.zone, ranges_of(now), pool, 2)

    assert len(now.ranges) > 10
    assert (len(first), len(set(pool) - first)) == (len(now.ranges), 1)
    assert made == whole(chosen, now.zone, now.rules(), 2)


@pytest.mark.parametrize(
    ("chosen", "blocked", "lifted"),
    [
        (dnsmasq.FORMAT, "server=/ok.example.id/#\n", "local=/z.example.id/\n"),
        (
            unbound.FORMAT,
            'local-zone: "ok.example.id." always_transparent\n',
            'local-zone: "z.example.id." always_nxdomain\n',
        ),
        (adblock.FORMAT, "@@||ok.example.id^\n", "||z.example.id^\n"),
    ],
    ids=["dnsmasq", "unbound", "adblock"],
)
def test_what_stands_above_a_range_decides_what_its_piece_says(chosen: Lines, blocked: str, lifted: str) -> None:
    """The rules of the second range are the same, with a block of the name above them and without."""
    above, below = lines_of([(key("example.id"), SUBTREE)]), rules_of({"ok.example.id": OPEN, "z.example.id": SUBTREE})
    range_, pool = lines_of(sorted(below.items())), Pool()

    said = [put_together(chosen, zone(), ranges, pool).decode() for ranges in ([above, range_], [range_])]

    assert [blocked in text for text in said] == [True, False]
    assert [lifted in text for text in said] == [False, True]


def test_a_piece_that_is_copied_says_what_stands_above_the_next() -> None:
    first, second, third = (lines_of([(key(name), SUBTREE)]) for name in ("a.example", "b.a.example", "c.a.example"))
    pool = Pool()
    put_together(unbound.FORMAT, zone(), [first, second], pool)

    rules = [*rules_in(first), *rules_in(third)]
    assert put_together(unbound.FORMAT, zone(), [first, third], pool) == whole(unbound.FORMAT, zone(), rules)


def test_a_header_stands_in_a_piece_of_its_own_which_nobody_asks_for_again() -> None:
    asked: list[bytes] = []
    found = list(pieces(rpz.FORMAT, zone(), 7, [lines_of([("me.t.", EXACT)])], asked.append))

    assert [each.id for each in found] == [b"", asked[0]]
    assert found[0].plain.startswith(b"block.rpz. 60 IN SOA")
    assert [each.plain for each in pieces(domains.FORMAT, zone(), 7, [], Pool().get)] == []


def test_a_range_without_rules_has_no_piece() -> None:
    range_ = lines_of([("me.t.", EXACT)])
    assert [each.plain for each in pieces(domains.FORMAT, zone(), 7, [b"", range_, b""], Pool().get)] == [b"t.me\n"]


def test_ranges_out_of_order_are_refused() -> None:
    ranges = [lines_of([(key(name), EXACT)]) for name in ("a.example", "a.example")]
    with pytest.raises(ValueError, match="out of order"):
        list(pieces(domains.FORMAT, zone(), 7, ranges, Pool().get))


def test_no_piece_holds_a_name_outside_the_zone_contract() -> None:
    with pytest.raises(NameInvalid):
        list(pieces(domains.FORMAT, zone(), 7, [lines_of([("rpz-ip.1.2.3.4.32.", EXACT)])], Pool().get))


def test_rules_are_cut_at_names_that_say_so_themselves() -> None:
    rules = many_rules(5000)
    before, now = (list(cut(sorted(each.items()), zone())) for each in (rules, rules | {"id.co.new.": EXACT}))

    assert [rule for range_ in before for rule in rules_in(range_)] == sorted(rules.items())
    assert len(before) > 5
    assert len(set(now) - set(before)) == 1
    assert list(cut([], zone())) == [b""]


def test_no_range_has_more_rules_than_may_be_held() -> None:
    keys = (f"com.n{number:05}." for number in range(5000))
    chosen = [(each, EXACT) for each in keys if zlib.crc32(each.encode()) % made_of_pieces.USUAL]

    lengths = [len(list(rules_in(range_))) for range_ in cut(chosen, zone())]

    assert lengths == [made_of_pieces.MOST] * 3 + [len(chosen) - 3 * made_of_pieces.MOST]


@pytest.mark.parametrize("bad", ["com.x.1\ncom.y.", "rpz-ip.1.2.3.4.32."])
def test_no_range_holds_a_name_outside_the_zone_contract(bad: str) -> None:
    with pytest.raises(NameInvalid):
        list(cut([(bad, EXACT)], zone()))


def test_a_path_reads_back_what_it_wrote() -> None:
    path = Path()
    for name, said in (("com.", 1), ("com.example.", 0), ("com.example.", 2)):
        path.above(name)
        path.enter(name, said=said)

    again = Path.load(path.dump())

    assert again.dump() == path.dump() == b"1 com.\n0 com.example.\n2 com.example.\n"
    assert [again.above(name) for name in ("com.example.x.", "com.f.", "id.")] == [2, 1, 0]
    assert Path.load(b"").dump() == b""


def test_what_a_format_says_grows_the_edition_where_it_changes() -> None:
    """Where this fails a format says something else than it did: pieces of before must not be found any more, so raise
    `EDITION`, and only then the digest here."""
    names = (f"{deep}n{number:03}.example" for number in range(64) for deep in ("", "a.", "b.a.", "c.b.a."))
    rules = rules_of({name: EVERY_RULE[number * 7 % 8] for number, name in enumerate(names)})
    hashed = hashlib.sha256()
    for chosen in CUT:
        for action in ("nxdomain", "nodata", "redirect:landing.example"):
            hashed.update(whole(chosen, zone(action), sorted(rules.items())))
    assert (made_of_pieces.EDITION, hashed.hexdigest()[:16]) == (1, "46b4b5dfc09801c8")

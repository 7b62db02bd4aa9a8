"""The normal form by example: targets in, records out."""

import pytest

from resolver_policy.names import from_key, sort_key
from resolver_policy.rules import Cell, build, effective, together
from resolver_policy.targets import Decision, Match

BLOCK, PASS, NOTHING = Decision.BLOCK, Decision.PASS, Decision.NOTHING
WORDS = {"block": BLOCK, "pass": PASS, "-": NOTHING}
RECORDS = {BLOCK: "CNAME .", PASS: "CNAME rpz-passthru."}


def zone(text: str) -> list[str]:
    """Read `name exact subtree` lines and give the zone that they make."""
    rows = (line.split() for line in text.strip().splitlines())
    cells = sorted((sort_key(name), Cell(WORDS[exact], WORDS[subtree])) for name, exact, subtree in rows)
    lines = []
    for key, rule in build(cells):
        name = from_key(key)
        lines += [f"{owner} {RECORDS[one]}" for owner, one in ((name, rule.own), (f"*.{name}", rule.wild)) if one]
    return lines


def test_an_exact_block_is_one_record() -> None:
    assert zone("t.me block -") == ["t.me CNAME ."]


def test_a_subtree_block_is_two_records() -> None:
    assert zone("casino.example - block") == ["casino.example CNAME .", "*.casino.example CNAME ."]


def test_an_exact_exception_at_a_subtree_block_opens_that_name_alone() -> None:
    assert zone("casino.example pass block") == ["*.casino.example CNAME ."]


def test_what_a_block_above_covers_is_left_out() -> None:
    assert zone("casino.example - block\nwww.casino.example block -\nx.y.casino.example - block") == [
        "casino.example CNAME .",
        "*.casino.example CNAME .",
    ]


def test_an_exception_under_a_block_carries_both_records_and_closes_the_way_up() -> None:
    assert zone("hole.example - block\ndeep.mid.hole.example pass -") == [
        "hole.example CNAME .",
        "*.hole.example CNAME .",
        "mid.hole.example CNAME .",
        "*.mid.hole.example CNAME .",
        "deep.mid.hole.example CNAME rpz-passthru.",
        "*.deep.mid.hole.example CNAME .",
    ]


def test_a_subtree_exception_opens_everything_below_it_and_the_nodes_in_it_are_open() -> None:
    assert zone("a.example - block\nb.a.example - pass\nd.c.b.a.example block -") == [
        "a.example CNAME .",
        "*.a.example CNAME .",
        "b.a.example CNAME rpz-passthru.",
        "*.b.a.example CNAME rpz-passthru.",
        "c.b.a.example CNAME rpz-passthru.",
        "*.c.b.a.example CNAME rpz-passthru.",
        "d.c.b.a.example CNAME .",
        "*.d.c.b.a.example CNAME rpz-passthru.",
    ]


def test_nodes_that_two_names_share_are_closed_once() -> None:
    assert zone("a.example - block\nx.m.a.example pass -\ny.m.a.example pass -") == [
        "a.example CNAME .",
        "*.a.example CNAME .",
        "m.a.example CNAME .",
        "*.m.a.example CNAME .",
        "x.m.a.example CNAME rpz-passthru.",
        "*.x.m.a.example CNAME .",
        "y.m.a.example CNAME rpz-passthru.",
        "*.y.m.a.example CNAME .",
    ]


def test_an_exception_that_nothing_covers_needs_no_record() -> None:
    assert zone("a.example pass pass\nb.example - -") == []


def test_no_targets_make_an_empty_zone() -> None:
    assert zone("") == []


def test_keys_out_of_order_are_refused() -> None:
    cells = [("b.", Cell(BLOCK, NOTHING)), ("a.", Cell(BLOCK, NOTHING))]
    with pytest.raises(ValueError, match=r"keys out of order: 'a\.' after 'b\.'"):
        list(build(cells))
    with pytest.raises(ValueError, match="out of order"):
        list(build([cells[0], cells[0]]))


def test_build_holds_nothing_but_the_path() -> None:
    endless = ((f"a.{number:09}.", Cell(NOTHING, BLOCK)) for number in range(10**9))
    assert next(build(endless))[0] == "a.000000000."


def test_several_targets_of_one_name_fold_into_one_cell() -> None:
    exact, subtree = Match.EXACT, Match.SUBTREE
    assert effective([]) == Cell(NOTHING, NOTHING)
    assert effective([(exact, PASS), (exact, BLOCK), (subtree, PASS)]) == Cell(BLOCK, PASS)
    assert effective([(subtree, BLOCK), (subtree, PASS), (exact, PASS)]) == Cell(PASS, BLOCK)


def test_the_cells_of_one_name_fold_alike_wherever_they_come_from() -> None:
    assert together([]) == Cell(NOTHING, NOTHING)
    assert together([Cell(PASS, NOTHING), Cell(BLOCK, PASS)]) == Cell(BLOCK, PASS)

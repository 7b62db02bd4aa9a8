"""The tree of conditions: what is accepted, what counts, and when it is satisfied."""

import copy
import datetime as dt
import json
from collections.abc import Mapping
from itertools import product
from random import Random

import pytest

from resolver_policy.conditions import (
    Group,
    Leaf,
    Row,
    State,
    Text,
    Tree,
    Verdict,
    flatten,
    is_one_line,
    judge,
    leaves,
    parse,
    prune,
    unflatten,
    unmet,
)
from resolver_policy.errors import ConditionsEmpty, ConditionsInvalid, NoGatingCondition
from tests.policy.scale import Record, scaled, tell

Json = dict[str, object]

CHANNEL = """
{"code": "channel", "text": {"id": "Saluran pemerintah", "en": "A government channel"},
 "responsible_party": "platform", "gating": true, "kind": "one_off"}
"""
SIMPLE = f"""{{"all_of": [{CHANNEL}]}}"""


def leaf(code: str, **fields: object) -> Json:
    """Give a gating leaf as JSON, with some fields set otherwise."""
    value: Json = json.loads(CHANNEL)
    return value | {"code": code} | fields


def all_of(*members: Json) -> Json:
    return {"all_of": list(members)}


def any_of(*members: Json) -> Json:
    return {"any_of": list(members)}


FOUR_POINTS = all_of(
    leaf("channel"),
    leaf("trusted_flagger"),
    any_of(leaf("office"), leaf("person"), all_of(leaf("partner"), leaf("partner_scope"))),
    all_of(leaf("own_process", responsible_party="ministry", gating=False, kind="continuing")),
)


def test_a_leaf_is_a_tree() -> None:
    text = Text("Saluran pemerintah", "A government channel")
    assert parse(json.loads(CHANNEL)) == Leaf("channel", text, "platform", gating=True, kind="one_off")


def test_a_tree_keeps_its_order() -> None:
    tree = parse(FOUR_POINTS)
    assert isinstance(tree, Group)
    assert [row.node if isinstance(row.node, str) else row.node.code for row in flatten(tree)] == [
        "all_of",
        "channel",
        "trusted_flagger",
        "any_of",
        "office",
        "person",
        "all_of",
        "partner",
        "partner_scope",
        "all_of",
        "own_process",
    ]


def test_a_due_date_is_kept_in_utc_and_counts_for_nothing() -> None:
    tree = parse(leaf("a", due_at="2027-01-01T07:00:00+07:00"))
    assert isinstance(tree, Leaf)
    assert tree.due_at == dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    assert not judge(tree, {"a": "claimed"}).satisfied
    assert parse(leaf("a", due_at=None)) == parse(leaf("a"))


def nested(depth: int) -> Json:
    tree = leaf("deepest")
    for _ in range(depth - 1):
        tree = all_of(tree)
    return tree


def many(count: int) -> Json:
    return all_of(*(leaf(f"c{number}") for number in range(count)))


@pytest.mark.parametrize(
    "tree", [nested(8), many(100), leaf("x" * 64), leaf("0_z"), leaf("a", text={"id": "x", "en": "x" * 2000})]
)
def test_bounds_are_inside(tree: Json) -> None:
    assert parse(tree)


BROKEN: list[tuple[object, str, str]] = [
    (None, "", "not_an_object"),
    ([], "", "not_an_object"),
    ("channel", "", "not_an_object"),
    (all_of(leaf("a"), 7), "/all_of/1", "not_an_object"),  # type: ignore[arg-type]
    ({}, "/code", "field_missing"),
    ({"all_of": {}}, "/all_of", "not_a_list"),
    (all_of(leaf("a")) | any_of(leaf("b")), "", "field_unknown"),
    (all_of(leaf("a")) | {"code": "b"}, "", "field_unknown"),
    (leaf("a", weight=1), "", "field_unknown"),
    (any_of(leaf("a"), leaf("B")), "/any_of/1/code", "code"),
    (leaf(""), "/code", "code"),
    (leaf("x" * 65), "/code", "code"),
    (leaf("a\n"), "/code", "code"),
    (leaf("a") | {"code": 7}, "/code", "code"),
    (leaf("a", gating="yes"), "/gating", "not_a_boolean"),
    (leaf("a", gating=1), "/gating", "not_a_boolean"),
    (leaf("a", kind="daily"), "/kind", "choice"),
    (leaf("a", kind=["one_off"]), "/kind", "choice"),
    (leaf("a", responsible_party="isp"), "/responsible_party", "choice"),
    (leaf("a", responsible_party="ministry"), "/gating", "never_gates"),
    (leaf("a", kind="continuing"), "/gating", "never_gates"),
    (leaf("a", text="A channel"), "/text", "languages"),
    (leaf("a", text=["id", "en"]), "/text", "languages"),
    (leaf("a", text={"id": "Saluran"}), "/text", "languages"),
    (leaf("a", text={"id": "Saluran", "en": "x", "fr": "x"}), "/text", "languages"),
    (leaf("a", text={"id": "Saluran", "en": ""}), "/text/en", "text_empty"),
    (leaf("a", text={"id": " \t", "en": "x"}), "/text/id", "text_empty"),
    (leaf("a", text={"id": 7, "en": "x"}), "/text/id", "text_empty"),
    (leaf("a", text={"id": "x", "en": "x" * 2001}), "/text/en", "text_length"),
    (leaf("a", text={"id": "x", "en": "a\nb"}), "/text/en", "control_character"),
    (leaf("a", text={"id": "x", "en": "a\x00b"}), "/text/en", "control_character"),
    (leaf("a", text={"id": "x", "en": "a\u2028b"}), "/text/en", "control_character"),
    (leaf("a", text={"id": "x", "en": "a\ud800b"}), "/text/en", "control_character"),
    (leaf("a", text={"id": "x", "en": "a\u202eb"}), "/text/en", "control_character"),
    (leaf("a", due_at="tomorrow"), "/due_at", "moment"),
    (leaf("a", due_at="2027-01-01"), "/due_at", "moment"),
    (leaf("a", due_at="2027-01-01T00:00:00"), "/due_at", "moment"),
    (leaf("a", due_at="9999-12-31T23:59:59-01:00"), "/due_at", "moment"),
    (leaf("a", due_at="0001-01-01T00:00:00+01:00"), "/due_at", "moment"),
    (leaf("a", due_at=1767225600), "/due_at", "moment"),
    (all_of(leaf("a"), leaf("b", due_at="")), "/all_of/1/due_at", "moment"),
    (all_of(leaf("a"), any_of(leaf("b"), leaf("a"))), "", "code_twice"),
    (many(101), "/all_of", "too_many"),
    (all_of(many(60), any_of(*(leaf(f"d{number}") for number in range(41)))), "", "too_many"),
    (nested(9), "/all_of" + "/0/all_of" * 7 + "/0", "too_deep"),
]


@pytest.mark.parametrize(("value", "pointer", "rule"), BROKEN)
def test_a_broken_tree_is_refused_with_the_place_and_the_rule(value: object, pointer: str, rule: str) -> None:
    with pytest.raises(ConditionsInvalid) as refused:
        parse(value)
    assert (refused.value.code, refused.value.pointer, refused.value.rule) == ("body_invalid", pointer, rule)


@pytest.mark.parametrize("field", ["code", "text", "responsible_party", "gating", "kind"])
def test_nothing_is_defaulted(field: str) -> None:
    value = leaf("a")
    del value[field]
    with pytest.raises(ConditionsInvalid, match="is missing") as refused:
        parse(value)
    assert refused.value.pointer == f"/{field}"


@pytest.mark.parametrize("tree", [all_of(), any_of(), all_of(leaf("a"), any_of()), all_of(all_of(any_of()))])
def test_a_combinator_of_nothing_is_refused(tree: Json) -> None:
    with pytest.raises(ConditionsEmpty, match="is empty") as refused:
        parse(tree)
    assert refused.value.code == "conditions_empty"


@pytest.mark.parametrize(
    "tree",
    [
        leaf("a", gating=False),
        all_of(leaf("a", gating=False, responsible_party="ministry"), any_of(leaf("b", gating=False))),
    ],
)
def test_a_tree_in_which_nothing_gates_is_refused(tree: Json) -> None:
    with pytest.raises(NoGatingCondition) as refused:
        parse(tree)
    assert refused.value.code == "no_gating_condition"


def test_what_is_refused_is_shown() -> None:
    with pytest.raises(ConditionsInvalid, match="1 to 64 of a-z, 0-9 and underscore") as refused:
        parse(all_of(leaf("Channel!")))
    assert refused.value.value == "Channel!"


def test_what_is_refused_stays_short_and_readable() -> None:
    deep: object = "x"
    for _ in range(900):
        deep = [deep]
    with pytest.raises(ConditionsInvalid) as refused:
        parse(leaf("a") | {"code": deep})
    assert refused.value.value == "list"


def test_pruning_takes_out_what_does_not_gate_and_what_that_leaves_empty() -> None:
    tree = parse(FOUR_POINTS)
    pruned = prune(tree)
    assert pruned is not None
    assert [row.node.code for row in flatten(pruned) if isinstance(row.node, Leaf)] == [
        "channel",
        "trusted_flagger",
        "office",
        "person",
        "partner",
        "partner_scope",
    ]
    assert [row.node for row in flatten(pruned) if isinstance(row.node, str)] == [
        "all_of",
        "any_of",
        "all_of",
    ]


def test_ministry_and_continuing_conditions_never_gate_even_if_stored_so() -> None:
    text = Text("x", "x")
    assert prune(Leaf("a", text, "ministry", gating=True, kind="one_off")) is None
    assert prune(Leaf("a", text, "platform", gating=True, kind="continuing")) is None


def states(tree: Tree, **marked: str) -> dict[str, str]:
    codes = [row.node.code for row in flatten(tree) if isinstance(row.node, Leaf)]
    return dict.fromkeys(codes, "pending") | marked


def test_all_of_waits_for_the_last_one() -> None:
    tree = parse(all_of(leaf("a"), leaf("b")))
    assert judge(tree, states(tree, a="met")) == Verdict(satisfied=False, because=(), left=("b",))
    assert judge(tree, states(tree, a="met", b="met")) == Verdict(satisfied=True, because=("a", "b"), left=())


def test_any_of_is_satisfied_by_one() -> None:
    tree = parse(any_of(leaf("a"), leaf("b")))
    assert judge(tree, states(tree)) == Verdict(satisfied=False, because=(), left=("a", "b"))
    assert judge(tree, states(tree, b="met")) == Verdict(satisfied=True, because=("b",), left=())


@pytest.mark.parametrize(
    ("state", "satisfied"),
    [
        ("pending", False),
        ("claimed", False),
        ("rejected", False),
        ("breached", False),
        ("met", True),
        ("waived", True),
    ],
)
def test_only_met_and_waived_satisfy(state: str, *, satisfied: bool) -> None:
    assert judge(parse(leaf("a")), {"a": state}).satisfied is satisfied


def test_the_four_points() -> None:
    tree = parse(FOUR_POINTS)
    verdict = judge(tree, states(tree, channel="met", partner="met", person="claimed"))
    assert verdict == Verdict(
        satisfied=False, because=(), left=("trusted_flagger", "office", "person", "partner_scope")
    )
    verdict = judge(tree, states(tree, channel="met", trusted_flagger="waived", person="met", partner="met"))
    assert verdict == Verdict(satisfied=True, because=("channel", "trusted_flagger", "person"), left=())


def test_what_does_not_gate_neither_helps_nor_hinders() -> None:
    tree = parse(any_of(leaf("a"), leaf("own", gating=False)))
    assert not judge(tree, states(tree, own="met")).satisfied
    tree = parse(all_of(leaf("a"), leaf("own", gating=False)))
    assert judge(tree, states(tree, a="met", own="rejected")).satisfied


def test_a_tree_in_which_nothing_gates_is_never_satisfied() -> None:
    with pytest.raises(NoGatingCondition):
        judge(Leaf("a", Text("x", "x"), "ministry", gating=True, kind="one_off"), {"a": "met"})


def test_a_missing_or_unknown_state_is_a_bug_and_not_a_verdict() -> None:
    tree = parse(leaf("a"))
    with pytest.raises(KeyError, match="a"):
        judge(tree, {})
    with pytest.raises(ValueError, match="done"):
        judge(tree, {"a": "done"})


def test_rows_lead_back_to_the_tree_in_any_order() -> None:
    tree = parse(FOUR_POINTS)
    rows = flatten(tree)
    assert (rows[0], rows[3].parent, rows[8].parent) == (Row(0, None, "all_of"), 0, 6)
    assert unflatten(rows) == unflatten(reversed(rows)) == tree
    assert unflatten(flatten(parse(leaf("a")))) == parse(leaf("a"))


def test_rows_that_make_no_tree_are_refused() -> None:
    rows = flatten(parse(json.loads(SIMPLE)))
    with pytest.raises(ValueError, match="0 rows have no parent"):
        unflatten(rows[1:])
    with pytest.raises(ValueError, match="2 rows have no parent"):
        unflatten([*rows, Row(9, None, "any_of")])
    with pytest.raises(ValueError, match="row 0 is a combinator of nothing"):
        unflatten(rows[:1])


def test_one_line_of_text() -> None:
    assert is_one_line("Pasal 1; ayat 2 “x” سلام 日本")
    assert not is_one_line("a\rb")


def random_tree(random: Random, depth: int, codes: list[str]) -> Json:
    if depth == 0 or random.random() < 0.3:
        codes.append(f"c{len(codes)}")
        party, kind = random.choice(("platform", "ministry")), random.choice(("one_off", "continuing"))
        may_gate = (party, kind) == ("platform", "one_off")
        return leaf(codes[-1], responsible_party=party, kind=kind, gating=may_gate and random.random() < 0.8)
    members = [random_tree(random, depth - 1, codes) for _ in range(random.randint(1, 3))]
    return random.choice((all_of, any_of))(*members)


def reference(tree: Json, states: Mapping[str, str]) -> bool | None:
    """Judge decoded JSON by the words of the definition; None: nothing in it gates."""
    if "code" in tree:
        return states[str(tree["code"])] in {"met", "waived"} if tree["gating"] else None
    op, members = next(iter(tree.items()))
    assert isinstance(members, list)
    judged = [verdict for member in members if (verdict := reference(member, states)) is not None]
    if not judged:
        return None
    return all(judged) if op == "all_of" else any(judged)


def test_random_trees_are_judged_as_the_definition_says(record_property: Record) -> None:
    random, judged = Random(410), 0
    for _ in range(scaled(1000)):
        codes: list[str] = []
        value = random_tree(random, 3, codes)
        if reference(value, dict.fromkeys(codes, "met")) is None:
            with pytest.raises(NoGatingCondition):
                parse(value)
            continue
        tree = parse(copy.deepcopy(value))
        assert unflatten(flatten(tree)) == tree
        for _ in range(5):
            marked = {code: random.choice([*State, State.MET]) for code in codes}
            check_verdict(tree, value, marked)
            judged += 1
    tell(record_property, trees_judged=judged)


def check_verdict(tree: Tree, value: Json, marked: Mapping[str, str]) -> None:
    verdict = judge(tree, marked)
    assert verdict.satisfied == reference(value, marked)
    left = unmet(tree, marked)
    assert tuple(() if left is None else (leaf.code for leaf in leaves(left))) == verdict.left
    if left is not None:
        check_unmet(left, tree, marked)
    if verdict.satisfied:
        assert verdict.left == ()
        others = {code: marked[code] if code in verdict.because else "pending" for code in marked}
        assert judge(tree, others).satisfied
    else:
        assert verdict.because == ()
        assert judge(tree, {**marked, **dict.fromkeys(verdict.left, "met")}).satisfied


def check_unmet(left: Tree, tree: Tree, marked: Mapping[str, str]) -> None:
    """What is left over says when the whole is satisfied, whatever becomes of it."""
    for code in (leaf.code for leaf in leaves(left)):
        one = {**marked, code: "waived"}
        assert judge(left, one).satisfied == judge(tree, one).satisfied


def test_what_is_left_keeps_its_alternatives() -> None:
    tree = parse(FOUR_POINTS)
    left = unmet(tree, states(tree, channel="met", partner="waived"))
    expected = parse(all_of(leaf("trusted_flagger"), any_of(leaf("office"), leaf("person"), leaf("partner_scope"))))
    assert left == expected
    assert unmet(tree, states(tree, channel="met", trusted_flagger="met", person="met")) is None


def test_meeting_more_never_undoes_a_verdict() -> None:
    tree = parse(FOUR_POINTS)
    codes = list(states(tree))
    for marks in product(("pending", "met"), repeat=len(codes)):
        before = judge(tree, dict(zip(codes, marks, strict=True))).satisfied
        for code in codes:
            assert judge(tree, dict(zip(codes, marks, strict=True)) | {code: "met"}).satisfied >= before

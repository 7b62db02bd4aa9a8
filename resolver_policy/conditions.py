"""The tree of conditions under which a block ends: read, pruned and judged.

A tree is a leaf, or an `all_of` or `any_of` of trees. Only gating leaves count; an empty combinator is
refused wherever it could appear, since "all of nothing" would lift a block at once.
"""

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, NoReturn

from resolver_policy.errors import ConditionsEmpty, ConditionsInvalid, NoGatingCondition

DEEPEST = 8
MOST_LEAVES = 100
LONGEST_TEXT = 2000
OPERATORS = ("all_of", "any_of")
PARTIES = ("platform", "ministry")
KINDS = ("one_off", "continuing")
EARLIEST_YEAR, LATEST_YEAR = 1900, 9000
"""Of a due date: far enough from either end of the calendar that no time zone leaves it."""

_CODE = re.compile(r"[a-z0-9_]{1,64}").fullmatch
_NOT_ONE_LINE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class State(StrEnum):
    """The state of one leaf. MET and WAIVED satisfy it; CLAIMED does not."""

    PENDING = "pending"
    CLAIMED = "claimed"
    MET = "met"
    REJECTED = "rejected"
    WAIVED = "waived"
    BREACHED = "breached"


SATISFIED = frozenset({State.MET, State.WAIVED})


class Text(NamedTuple):
    """What a condition says, in Indonesian and in English."""

    id: str
    en: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """One condition. It counts for the lift only if it is gating; `due_at` is told, and blocks or lifts nothing."""

    code: str
    text: Text
    responsible_party: str
    gating: bool
    kind: str
    due_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """`all_of` or `any_of` of its members, which are never empty."""

    op: str
    members: tuple["Leaf | Group", ...]


Tree = Leaf | Group


@dataclass(frozen=True, slots=True)
class Row:
    """One node of a flattened tree: `parent` is the index of its combinator, None at the top."""

    index: int
    parent: int | None
    node: str | Leaf


@dataclass(frozen=True, slots=True)
class Verdict:
    """`because`: the codes that satisfy the tree, empty until they do. `left`: the codes that may still be
    needed, empty once they are not."""

    satisfied: bool
    because: tuple[str, ...]
    left: tuple[str, ...]


def parse(value: object) -> Tree:
    """Read a tree from decoded JSON.

    ConditionsInvalid with the pointer of the fault; ConditionsEmpty for an empty combinator;
    NoGatingCondition when nothing in it gates.
    """
    tree = _parse(value, "", 1)
    found = leaves(tree)
    if len(found) > MOST_LEAVES:
        _refuse("", "too_many", f"{len(found)} conditions, {MOST_LEAVES} are allowed")
    seen: set[str] = set()
    for leaf in found:
        if leaf.code in seen:
            _refuse("", "code_twice", f"the code {leaf.code} stands twice", leaf.code)
        seen.add(leaf.code)
    if prune(tree) is None:
        raise NoGatingCondition("no condition of the tree gates: the block could never end", rule="no_gating")
    return tree


def _refuse(pointer: str, rule: str, why: str, value: object = None) -> NoReturn:
    shown = value if isinstance(value, str | None) else type(value).__name__
    raise ConditionsInvalid(f"conditions{pointer}: {why}", pointer=pointer, value=shown, rule=rule)


def _parse(value: object, pointer: str, depth: int) -> Tree:
    if depth > DEEPEST:
        _refuse(pointer, "too_deep", f"deeper than {DEEPEST} levels")
    if not isinstance(value, dict):
        _refuse(pointer, "not_an_object", "neither a condition nor a combinator")
    operators = [op for op in OPERATORS if op in value]
    if not operators:
        return _parse_leaf(value, pointer)
    if len(value) > 1:
        _refuse(pointer, "field_unknown", "a combinator is one of all_of, any_of and nothing beside it")
    return _parse_group(operators[0], value[operators[0]], f"{pointer}/{operators[0]}", depth)


def _parse_group(op: str, members: object, pointer: str, depth: int) -> Group:
    if not isinstance(members, list):
        _refuse(pointer, "not_a_list", "is not a list")
    if not members:
        raise ConditionsEmpty(f"conditions{pointer}: is empty", value=op, rule="empty")
    if len(members) > MOST_LEAVES:
        _refuse(pointer, "too_many", f"{len(members)} members, {MOST_LEAVES} are allowed")
    parsed = (_parse(member, f"{pointer}/{at}", depth + 1) for at, member in enumerate(members))
    return Group(op, tuple(parsed))


def _parse_leaf(value: Mapping[object, object], pointer: str) -> Leaf:
    fields = dict(value)
    for name in ("code", "text", "responsible_party", "gating", "kind"):
        if name not in fields:
            _refuse(f"{pointer}/{name}", "field_missing", "is missing")
    code, text, party, gating, kind = (
        fields.pop(name) for name in ("code", "text", "responsible_party", "gating", "kind")
    )
    due_at = _parse_moment(fields.pop("due_at", None), f"{pointer}/due_at")
    if fields:
        _refuse(pointer, "field_unknown", "has a field that no condition has", next(iter(fields)))
    if not isinstance(code, str) or not _CODE(code):
        _refuse(f"{pointer}/code", "code", "1 to 64 of a-z, 0-9 and underscore", code)
    if not isinstance(gating, bool):
        _refuse(f"{pointer}/gating", "not_a_boolean", "is neither true nor false", gating)
    leaf = Leaf(
        code,
        _parse_text(text, f"{pointer}/text"),
        _one_of(PARTIES, party, f"{pointer}/responsible_party"),
        gating,
        _one_of(KINDS, kind, f"{pointer}/kind"),
        due_at,
    )
    if gating and not gates(leaf):
        _refuse(f"{pointer}/gating", "never_gates", "what the ministry does, or goes on for ever, never gates")
    return leaf


def _one_of(allowed: Sequence[str], value: object, pointer: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        _refuse(pointer, "choice", f"is none of {', '.join(allowed)}", value)
    return value


def _parse_moment(value: object, pointer: str) -> dt.datetime | None:
    if value is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        _refuse(pointer, "moment", "is no moment with a time zone (RFC 3339)", value)
    return moment.astimezone(dt.UTC)


def _parse_text(value: object, pointer: str) -> Text:
    if not isinstance(value, dict) or set(value) != {"id", "en"}:
        _refuse(pointer, "languages", "takes a text in id and one in en")
    return Text(_line(value["id"], f"{pointer}/id"), _line(value["en"], f"{pointer}/en"))


def _line(value: object, pointer: str) -> str:
    if not isinstance(value, str) or not value.strip():
        _refuse(pointer, "text_empty", "holds no text")
    if len(value) > LONGEST_TEXT:
        _refuse(pointer, "text_length", f"{len(value)} characters, {LONGEST_TEXT} are allowed", value)
    if not is_one_line(value):
        _refuse(pointer, "control_character", "holds a line break or a control character", value)
    return value


def is_one_line(text: str) -> bool:
    """Say whether a text is free of line breaks, control characters and controls of writing direction."""
    return not any(unicodedata.category(char) in _NOT_ONE_LINE or char in _BIDI_CONTROLS for char in text)


def gates(leaf: Leaf) -> bool:
    """Say whether a leaf counts. The ministry's own and continuing conditions never do, whatever they say."""
    return leaf.gating and leaf.responsible_party == "platform" and leaf.kind == "one_off"


def flatten(tree: Tree) -> tuple[Row, ...]:
    """Lay a tree out as rows, each combinator before its members; `unflatten` is the way back."""
    rows: list[Row] = []
    _flatten(tree, None, rows)
    return tuple(rows)


def leaves(tree: Tree) -> tuple[Leaf, ...]:
    """The conditions of a tree, in its order."""
    return tuple(row.node for row in flatten(tree) if isinstance(row.node, Leaf))


def _flatten(tree: Tree, parent: int | None, rows: list[Row]) -> None:
    index = len(rows)
    rows.append(Row(index, parent, tree if isinstance(tree, Leaf) else tree.op))
    if isinstance(tree, Group):
        for member in tree.members:
            _flatten(member, index, rows)


def unflatten(rows: Iterable[Row]) -> Tree:
    """Build the tree that `flatten` laid out, rows in any order. ValueError if rows are missing."""
    ordered = sorted(rows, key=lambda row: row.index)
    tops = [row for row in ordered if row.parent is None]
    if len(tops) != 1:
        raise ValueError(f"{len(tops)} rows have no parent")
    members: dict[int, list[Row]] = {}
    for row in ordered:
        if row.parent is not None:
            members.setdefault(row.parent, []).append(row)
    return _grown(tops[0], members)


def _grown(row: Row, members: Mapping[int, list[Row]]) -> Tree:
    if isinstance(row.node, Leaf):
        return row.node
    below = members.get(row.index, [])
    if not below:
        raise ValueError(f"row {row.index} is a combinator of nothing")
    return Group(row.node, tuple(_grown(member, members) for member in below))


def prune(tree: Tree) -> Tree | None:
    """Take out what does not gate, and combinators that this leaves empty; None if nothing stays."""
    if isinstance(tree, Leaf):
        return tree if gates(tree) else None
    members = tuple(kept for member in tree.members if (kept := prune(member)) is not None)
    return Group(tree.op, members) if members else None


def judge(tree: Tree, states: Mapping[str, str]) -> Verdict:
    """Say whether the gating conditions are satisfied. KeyError for a code without a state, ValueError for an
    unknown state; a tree in which nothing gates is never satisfied (NoGatingCondition)."""
    left = unmet(tree, states)
    if left is not None:
        return Verdict(satisfied=False, because=(), left=tuple(leaf.code for leaf in leaves(left)))
    return Verdict(satisfied=True, because=_satisfying(tree, states), left=())


def unmet(tree: Tree, states: Mapping[str, str]) -> Tree | None:
    """The part of a tree that is still to be satisfied, None once it is; a combinator of one is that one.

    Raises as `judge` does.
    """
    pruned = prune(tree)
    if pruned is None:
        raise NoGatingCondition("no condition of the tree gates", rule="no_gating")
    return _unmet(pruned, states)


def _unmet(tree: Tree, states: Mapping[str, str]) -> Tree | None:
    if isinstance(tree, Leaf):
        return None if State(states[tree.code]) in SATISFIED else tree
    members = [_unmet(member, states) for member in tree.members]
    left = tuple(member for member in members if member is not None)
    if not left or (tree.op == "any_of" and len(left) < len(members)):
        return None
    return left[0] if len(left) == 1 else Group(tree.op, left)


def _satisfying(tree: Tree, states: Mapping[str, str]) -> tuple[str, ...]:
    """The codes that satisfy a tree, by every way in which it is satisfied."""
    pruned = prune(tree)
    if pruned is None or _unmet(pruned, states) is not None:
        return ()
    if isinstance(pruned, Leaf):
        return (pruned.code,)
    return tuple(code for member in pruned.members for code in _satisfying(member, states))

"""Bad input to `POST /orders`: refused with its code, place, value and rule; nothing is stored, nothing published."""

from typing import Any, NamedTuple

import pytest

from tests.service import HOUR, NOW, Json, Service, a_leaf, an_order, problem, targets, text_of


class Refusal(NamedTuple):
    """What a refused field is answered with."""

    code: str
    pointer: str
    value: str | None
    rule: str | None


NAME = "/targets/0/name"
LONG_LABEL = "a" * 64
LONG_NAME = ".".join(["a" * 60] * 3 + ["b" * 52]) + ".example"

NAMES = {
    "com": Refusal("hard_protected", NAME, "com", "tld"),
    "co.id": Refusal("hard_protected", NAME, "co.id", "public_suffix"),
    "*": Refusal("name_invalid", NAME, "*", "wildcard"),
    ".": Refusal("name_invalid", NAME, ".", "root"),
    "*.x.id": Refusal("name_invalid", NAME, "*.x.id", "wildcard"),
    "http://t.me/x": Refusal("name_invalid", NAME, "http://t.me/x", "host_in_url"),
    "t.me:443": Refusal("name_invalid", NAME, "t.me:443", "host_in_url"),
    "1.2.3.4": Refusal("address_not_name", NAME, "1.2.3.4", None),
    "2001:db8::1": Refusal("address_not_name", NAME, "2001:db8::1", None),
    "a..b": Refusal("name_invalid", NAME, "a..b", "empty_label"),
    f"{LONG_LABEL}.example": Refusal("name_invalid", NAME, f"{LONG_LABEL}.example", None),
    "24.0.2.0.192.rpz-ip": Refusal("name_invalid", NAME, "24.0.2.0.192.rpz-ip", "rpz_trigger"),
    "casino.notatld": Refusal("name_invalid", NAME, "casino.notatld", "tld_unknown"),
    LONG_NAME: Refusal("name_too_long", NAME, None, None),
    "cas\u200bino.example": Refusal("name_invalid", NAME, "cas\\u200bino.example", "invisible_character"),
    "p\u0430ypal.example": Refusal("name_invalid", NAME, "p\u0430ypal.example", "mixed_script"),
    "a\nb.example": Refusal("name_invalid", NAME, "a\\nb.example", None),
    "a;b.example": Refusal("name_invalid", NAME, "a;b.example", None),
    "block.rpz": Refusal("hard_protected", NAME, "block.rpz", "own_zone"),
    "x.block.rpz": Refusal("hard_protected", NAME, "x.block.rpz", "own_zone"),
    "blogspot.com": Refusal("soft_protected", NAME, "blogspot.com", "private_suffix"),
    "a.b@t.me": Refusal("name_invalid", NAME, "a.b@t.me", None),
    "": Refusal("name_invalid", NAME, None, None),
}

EMPTY_TREE: Json = {"all_of": []}
DEEP: Any = a_leaf()
for _ in range(9):
    DEEP = {"all_of": [DEEP]}

FIELDS: dict[str, tuple[Json, Refusal]] = {
    "a newline in a reason": (
        {"reason": {"id": "a\nb CNAME .", "en": "b"}},
        Refusal("body_invalid", "/reason/id", "a\nb CNAME .", None),
    ),
    "a semicolon in a reason": (
        {"reason": {"id": "a", "en": "b; c"}},
        Refusal("body_invalid", "/reason/en", "b; c", None),
    ),
    "a control character in the authority": (
        {"authority": "a\x07b"},
        Refusal("body_invalid", "/authority", "a\x07b", None),
    ),
    "a right-to-left override in a number": (
        {"number": "EX\u202e1"},
        Refusal("body_invalid", "/number", "EX\u202e1", None),
    ),
    "a blank authority": ({"authority": "  "}, Refusal("body_invalid", "/authority", "  ", None)),
    "half a surrogate pair": ({"authority": "\ud800"}, Refusal("body_invalid", "/authority", None, None)),
    "an unknown category": (
        {"category": "nonsense"},
        Refusal("category_unknown", "/category", "nonsense", "category_unknown"),
    ),
    "an unknown SOP": (
        {"conditions": None, "sop": {"code": "nonsense"}},
        Refusal("sop_unknown", "/sop/code", "nonsense", "sop_unknown"),
    ),
    "an unknown version of a SOP": (
        {"conditions": None, "sop": {"code": "ott-platform", "version": 99}},
        Refusal("sop_unknown", "/sop/code", "ott-platform", "sop_unknown"),
    ),
    "an unknown profile of a SOP": (
        {"conditions": None, "sop": {"code": "ott-platform", "profile": "nonsense"}},
        Refusal("sop_unknown", "/sop/profile", "nonsense", "sop_unknown"),
    ),
    "an empty all_of": ({"conditions": EMPTY_TREE}, Refusal("conditions_empty", "/conditions", "all_of", "empty")),
    "an empty any_of further down": (
        {"conditions": {"all_of": [a_leaf(), {"any_of": []}]}},
        Refusal("conditions_empty", "/conditions", "any_of", "empty"),
    ),
    "a tree without a gating leaf": (
        {"conditions": {"all_of": [a_leaf(gating=False)]}},
        Refusal("no_gating_condition", "/conditions", None, "no_gating"),
    ),
    "a condition of the ministry that gates": (
        {"conditions": a_leaf(responsible_party="ministry")},
        Refusal("body_invalid", "/conditions/gating", None, "never_gates"),
    ),
    "a continuing condition that gates": (
        {"conditions": {"all_of": [a_leaf(kind="continuing")]}},
        Refusal("body_invalid", "/conditions/all_of/0/gating", None, "never_gates"),
    ),
    "a code that stands twice": (
        {"conditions": {"all_of": [a_leaf("x"), a_leaf("x")]}},
        Refusal("body_invalid", "/conditions", "x", "code_twice"),
    ),
    "a tree deeper than eight levels": (
        {"conditions": DEEP},
        Refusal("body_invalid", "/conditions" + "/all_of/0" * 8, None, "too_deep"),
    ),
    "an unknown field of a condition": (
        {"conditions": a_leaf(weight=1)},
        Refusal("body_invalid", "/conditions", "weight", "field_unknown"),
    ),
    "no conditions": ({"conditions": None}, Refusal("body_invalid", "/conditions", None, "conditions_or_sop")),
    "conditions and a SOP": (
        {"sop": {"code": "ott-platform"}},
        Refusal("body_invalid", "/conditions", None, "conditions_or_sop"),
    ),
    "an exception with conditions and a SOP": (
        {"kind": "exception", "sop": {"code": "ott-platform"}},
        Refusal("body_invalid", "/conditions", None, "conditions_or_sop"),
    ),
    "a past review date": (
        {"review_due_at": text_of(NOW)},
        Refusal("review_date_past", "/review_due_at", "2026-11-22T03:00:00+00:00", "review_date_past"),
    ),
    "an expiry in the past": (
        {"expires_at": text_of(NOW - HOUR)},
        Refusal("body_invalid", "/expires_at", "2026-11-22T02:00:00+00:00", "ends_before_it_begins"),
    ),
    "an expiry before the beginning": (
        {"effective_at": text_of(NOW + 2 * HOUR), "expires_at": text_of(NOW + HOUR)},
        Refusal("body_invalid", "/expires_at", "2026-11-22T04:00:00+00:00", "ends_before_it_begins"),
    ),
    "an override that has expired": (
        {"override": {"reason": "a test", "expires_at": text_of(NOW)}},
        Refusal("body_invalid", "/override/expires_at", "2026-11-22T03:00:00+00:00", "ends_before_it_begins"),
    ),
    "a date without a time zone": (
        {"review_due_at": "2027-01-01T00:00:00"},
        Refusal("body_invalid", "/review_due_at", "2027-01-01T00:00:00", None),
    ),
    "a date past the end of the calendar in UTC": (
        {"review_due_at": "9999-12-31T23:59:59-23:59"},
        Refusal("body_invalid", "/review_due_at", "9999-12-31T23:59:59-23:59", None),
    ),
    "a date before its beginning in UTC": (
        {"effective_at": "0001-01-01T00:00:00+23:59"},
        Refusal("body_invalid", "/effective_at", "0001-01-01T00:00:00+23:59", None),
    ),
    "no number": ({"number": None}, Refusal("body_invalid", "/number", None, None)),
    "no legal basis": ({"legal_basis": []}, Refusal("body_invalid", "/legal_basis", None, None)),
    "no targets": ({"targets": []}, Refusal("body_invalid", "/targets", None, None)),
    "no match": ({"targets": [{"name": "x.example"}]}, Refusal("body_invalid", "/targets/0/match", None, None)),
    "an unknown match": (
        {"targets": [{"name": "x.example", "match": "all"}]},
        Refusal("body_invalid", "/targets/0/match", "all", None),
    ),
    "an unknown kind": ({"kind": "warning"}, Refusal("body_invalid", "/kind", "warning", None)),
    "an unknown field": ({"a~b/c": 1}, Refusal("body_invalid", "/a~0b~1c", None, None)),
    "a name that stands twice": (
        {"targets": targets("x.example", "X.EXAMPLE.")},
        Refusal("body_invalid", "/targets/1/name", "X.EXAMPLE.", "duplicate"),
    ),
    "a platform that is no principal's name": (
        {"platform": "A Messenger"},
        Refusal("body_invalid", "/platform", "A Messenger", None),
    ),
}


def refuse(service: Service, body: Json, refusal: Refusal) -> Json:
    """Post what must be refused, and see that nothing came of it."""
    before = service.rows()
    answer = problem(service.post("orders", body, by="operator-1"), 422, refusal.code)
    first: Json = answer["errors"][0]
    assert first["pointer"] == refusal.pointer
    if refusal.value is not None:
        assert first["value"] == refusal.value
    if refusal.rule is not None:
        assert first["rule"] == refusal.rule
    assert service.zone() == []
    assert service.rows() == before
    return answer


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.encode("unicode_escape").decode()[:40] or "empty")
def test_a_bad_name_is_refused(service: Service, name: str) -> None:
    answer = refuse(service, an_order(targets=[{"name": name, "match": "exact"}]), NAMES[name])

    assert len(answer["errors"][0].get("value", "")) <= 200


@pytest.mark.parametrize("what", FIELDS)
def test_a_bad_field_is_refused(service: Service, what: str) -> None:
    fields, refusal = FIELDS[what]

    refuse(service, an_order(**fields), refusal)


@pytest.mark.parametrize("name", ["http://t.me/x", "t.me:443"])
def test_an_address_of_a_page_is_refused_with_the_host_found_in_it(service: Service, name: str) -> None:
    answer = refuse(service, an_order(targets=[{"name": name, "match": "exact"}]), NAMES[name])

    assert "'t.me'" in answer["detail"]


def test_the_second_target_is_named_where_the_second_is_bad(service: Service) -> None:
    body = an_order(targets=targets("good.example", "co.id"))

    refuse(service, body, Refusal("hard_protected", "/targets/1/name", "co.id", "public_suffix"))


def test_a_subtree_above_a_protected_name_is_refused(service: Service) -> None:
    body = an_order(targets=targets("*.id"))

    refuse(service, body, Refusal("hard_protected", NAME, "id", "tld"))


def test_an_override_never_opens_a_hard_protected_name(service: Service) -> None:
    override = {"reason": "please", "expires_at": text_of(NOW + HOUR)}

    refuse(service, an_order(targets=targets("co.id"), override=override), NAMES["co.id"])


def test_a_reserved_name_for_examples_is_allowed(service: Service) -> None:
    assert service.propose(targets=targets("allowed.example"))["state"] == "proposed"


@pytest.mark.parametrize("length", [234, 235])
def test_a_name_must_fit_into_the_longest_zone(service: Service, length: int) -> None:
    """A wildcard, the name and `urgent.block.rpz` have 255 octets on the wire between them: 2 + 235 + 18."""
    fixed = ".".join(["a" * 60] * 3)
    name = f"{fixed}.{'b' * (length - len(fixed) - len('.example') - 1)}.example"
    assert len(name) == length

    status = service.post("orders", an_order(targets=targets(name)), by="operator-1").status_code

    assert status == (201 if length == 234 else 422)


def test_a_body_that_is_no_json_is_refused(service: Service) -> None:
    response = service.request("POST", "orders", by="operator-1", content=b'{"number": ')

    problem(response, 422, "body_invalid")


def test_a_body_of_another_kind_is_refused(service: Service) -> None:
    response = service.request(
        "POST", "orders", by="operator-1", content=b"number=1", headers={"Content-Type": "text/plain"}
    )

    problem(response, 422, "body_invalid")


def test_a_body_nested_without_end_is_refused(service: Service) -> None:
    response = service.request("POST", "orders", by="operator-1", content=b"[" * 100_000)

    problem(response, 422, "body_invalid")


def test_infinity_is_no_value(service: Service) -> None:
    response = service.request("POST", "orders", by="operator-1", content=b'{"conditions": {"code": Infinity}}')

    problem(response, 422, "body_invalid")

import pytest

from resolver_policy.actions import Action, parse_action, target_of
from resolver_policy.errors import ActionInvalid
from resolver_policy.targets import Decision

BLOCK, PASS, NOTHING = Decision.BLOCK, Decision.PASS, Decision.NOTHING


@pytest.mark.parametrize(
    ("text", "action", "target"),
    [
        ("nxdomain", Action("nxdomain"), "."),
        ("nodata", Action("nodata"), "*."),
        ("redirect:Landing.Example.", Action("redirect", "landing.example"), "landing.example."),
    ],
)
def test_the_three_actions(text: str, action: Action, target: str) -> None:
    assert parse_action(text) == action
    assert target_of(action, BLOCK) == target
    assert target_of(action, PASS) == "rpz-passthru."


@pytest.mark.parametrize("text", ["", "NXDOMAIN", "drop", "redirect", "passthru", "nxdomain:x.example"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ActionInvalid) as refused:
        parse_action(text)
    assert (refused.value.code, refused.value.rule) == ("body_invalid", "action_unknown")


@pytest.mark.parametrize("target", ["", "*.landing.example", "x.rpz-passthru", "1.2.3.4", "http://l.example/"])
def test_a_redirect_target_is_a_plain_name(target: str) -> None:
    with pytest.raises(ActionInvalid, match="redirect target") as refused:
        parse_action(f"redirect:{target}")
    assert refused.value.rule == "redirect_target"


def test_no_record_has_no_target() -> None:
    with pytest.raises(ValueError, match="no record"):
        target_of(Action("nxdomain"), NOTHING)


def test_a_landing_page_belongs_to_a_redirect_and_to_nothing_else() -> None:
    with pytest.raises(ValueError, match="redirect"):
        Action("redirect")
    with pytest.raises(ValueError, match="redirect"):
        Action("nodata", "landing.example")

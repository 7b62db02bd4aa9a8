import pytest

from resolver_policy.targets import Decision, Match, Target, decide

BLOCK, PASS, NOTHING = Decision.BLOCK, Decision.PASS, Decision.NOTHING
EXACT, SUBTREE = Match.EXACT, Match.SUBTREE


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("casino.example", BLOCK),
        ("www.casino.example", BLOCK),
        ("a.b.casino.example", BLOCK),
        ("example", PASS),
        ("xcasino.example", PASS),
        ("open.casino.example", PASS),
        ("a.open.casino.example", BLOCK),
        ("free.casino.example", PASS),
        ("a.free.casino.example", PASS),
        ("again.free.casino.example", BLOCK),
        ("a.again.free.casino.example", PASS),
    ],
)
def test_the_most_specific_target_decides(name: str, wanted: Decision) -> None:
    targets = [
        Target("casino.example", SUBTREE, BLOCK),
        Target("open.casino.example", EXACT, PASS),
        Target("free.casino.example", SUBTREE, PASS),
        Target("again.free.casino.example", EXACT, BLOCK),
    ]
    assert decide(name, targets) is wanted
    assert decide(name, list(reversed(targets))) is wanted


def test_at_the_name_itself_exact_goes_before_subtree() -> None:
    targets = [Target("a.example", SUBTREE, BLOCK), Target("a.example", EXACT, PASS)]
    assert decide("a.example", targets) is PASS
    assert decide("x.a.example", targets) is BLOCK


def test_at_equal_specificity_block_wins() -> None:
    targets = [Target("a.example", SUBTREE, BLOCK), Target("a.example", SUBTREE, PASS)]
    assert decide("a.example", targets) is decide("x.a.example", targets) is BLOCK


def test_nothing_covers_means_pass() -> None:
    assert decide("a.example", []) is PASS
    assert decide("a.example", [Target("a.example", EXACT, NOTHING)]) is PASS
    assert decide("a.example", [Target("a.example", EXACT, NOTHING), Target("a.example", SUBTREE, BLOCK)]) is BLOCK

"""Several orders on one name: it stays blocked as long as one of them holds it, and the answer says who."""

import pytest

from tests.service import Json, Service, condition, targets


def holders(service: Service, name: str) -> list[str]:
    """The numbers of the orders that hold a name, nearest first."""
    return [holder["order_number"] for holder in service.read(f"names/{name}")["holders"]]


def lift_by_condition(service: Service, order: Json) -> None:
    service.meet(condition(order))


def lift_by_hand(service: Service, order: Json) -> None:
    service.lift(order)


def lift_its_names(service: Service, order: Json) -> None:
    names = [("*." if block["match"] == "subtree" else "") + block["name"] for block in order["blocks"]]
    service.lift(order, targets=targets(*names))


LIFTS = {"by its condition": lift_by_condition, "by hand": lift_by_hand, "name by name": lift_its_names}


@pytest.mark.parametrize("how", LIFTS)
def test_lifting_one_order_leaves_a_name_that_another_holds(service: Service, how: str) -> None:
    first = service.block("x.example", number="EX-1")
    second = service.block("x.example", number="EX-2")
    assert holders(service, "x.example") == ["EX-1", "EX-2"]

    LIFTS[how](service, first)

    assert service.zone() == ["x.example ."]
    assert holders(service, "x.example") == ["EX-2"]
    LIFTS[how](service, second)
    assert service.zone() == []


def test_a_second_holder_publishes_nothing_new(service: Service) -> None:
    service.block("x.example")
    service.publish()
    service.block("x.example")

    assert service.publish() == {}


@pytest.mark.parametrize("how", LIFTS)
def test_a_name_below_a_lifted_parent_comes_back_into_the_zone(service: Service, how: str) -> None:
    """While the parent's subtree was blocked, the rule of the name below was redundant and not in the zone."""
    parent = service.block("*.x.example", number="PARENT")
    service.block("deep.below.x.example", "*.sub.x.example", number="CHILD")
    assert service.zone() == ["x.example .", "*.x.example ."]

    LIFTS[how](service, parent)

    assert service.zone() == ["deep.below.x.example .", "sub.x.example .", "*.sub.x.example ."]
    assert holders(service, "deep.below.x.example") == ["CHILD"]
    assert holders(service, "below.x.example") == []


@pytest.mark.parametrize("how", LIFTS)
def test_lifting_a_name_below_a_blocked_parent_does_not_open_it(service: Service, how: str) -> None:
    service.block("*.x.example", number="PARENT")
    child = service.block("deep.x.example", number="CHILD")

    LIFTS[how](service, child)

    assert service.zone() == ["x.example .", "*.x.example ."]
    answer = service.read("names/deep.x.example")
    assert answer["blocked"] is True
    assert [(each["order_number"], each["target"], each["match"]) for each in answer["holders"]] == [
        ("PARENT", "x.example", "subtree")
    ]


def test_holders_are_told_nearest_first(service: Service) -> None:
    service.block("*.example.example", number="FAR")
    service.block("*.x.example.example", number="NEAR")
    service.block("www.x.example.example", number="EXACT")

    assert holders(service, "www.x.example.example") == ["EXACT", "NEAR", "FAR"]


def test_an_exact_block_does_not_hold_what_is_below(service: Service) -> None:
    service.block("x.example")

    assert service.read("names/www.x.example")["blocked"] is False


def test_an_exception_keeps_a_name_reachable_below_a_subtree_block(service: Service) -> None:
    service.block("*.x.example", number="BLOCK")
    service.exception("open.x.example", number="EXCEPTION")

    assert service.zone() == [
        "x.example .",
        "*.x.example .",
        "open.x.example rpz-passthru.",
        "*.open.x.example .",
    ]
    answer = service.read("names/open.x.example")
    assert answer["blocked"] is False
    assert [each["order_number"] for each in answer["holders"]] == ["BLOCK"]
    assert [each["order_number"] for each in answer["exceptions"]] == ["EXCEPTION"]


def test_a_subtree_exception_opens_what_is_below_it_too(service: Service) -> None:
    service.block("*.x.example")
    service.exception("*.open.x.example")

    assert service.zone()[2:] == ["open.x.example rpz-passthru.", "*.open.x.example rpz-passthru."]


def test_a_block_below_an_exception_holds(service: Service) -> None:
    service.block("*.x.example")
    service.exception("*.open.x.example")
    service.block("bad.open.x.example")

    assert service.read("names/bad.open.x.example")["blocked"] is True
    assert service.zone()[4:] == ["bad.open.x.example .", "*.bad.open.x.example rpz-passthru."]


def test_a_block_wins_over_an_exception_of_the_same_specificity(service: Service) -> None:
    service.block("*.x.example")
    service.exception("open.x.example")
    service.block("open.x.example")

    assert service.read("names/open.x.example")["blocked"] is True
    assert service.zone() == ["x.example .", "*.x.example ."]


def test_the_end_of_an_exception_blocks_its_name_again(service: Service) -> None:
    service.block("*.x.example")
    exception = service.exception("open.x.example")

    service.lift(exception)

    assert service.zone() == ["x.example .", "*.x.example ."]


def test_an_exception_that_outlives_its_block_leaves_no_rule(service: Service) -> None:
    block = service.block("*.x.example")
    service.exception("open.x.example")

    service.lift(block)

    assert service.zone() == []


def test_all_names_of_one_order_appear_and_disappear_in_one_serial(service: Service) -> None:
    names = sorted(f"n{number}.example" for number in range(300))
    before = service.read("zones/block.rpz")["serial"]
    order = service.block(*names)
    serials = [service.publish()["block.rpz"]]
    service.lift(order)
    serials.append(service.publish()["block.rpz"])

    assert serials == [before + 1, before + 2]
    for since, kind in ((serials[0], "removed"), (before, "added")):
        changes = service.read(f"zones/block.rpz/changes?since={since}", by="isp-1")
        assert len(changes[kind]) == (300 if kind == "removed" else 0)

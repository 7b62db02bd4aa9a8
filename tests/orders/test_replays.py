"""What went wrong elsewhere when blocks ended: names that stayed open, or opened, because of another order."""

from tests.service import DAY, NOW, Service, condition, text_of


def test_a_name_stays_blocked_when_the_first_of_two_orders_ends(service: Service) -> None:
    first = service.block("a.example", number="EX-1", expires_at=text_of(NOW + DAY))
    service.block("a.example", number="EX-2")

    service.clock.forward(DAY)

    assert service.zone() == ["a.example ."]
    assert service.read(f"orders/{first['id']}")["state"] == "ended"
    assert [holder["order_number"] for holder in service.read("names/a.example")["holders"]] == ["EX-2"]


def test_names_below_a_parent_are_blocked_on_when_the_parent_is_lifted(service: Service) -> None:
    """Their rules were left out while the parent covered them."""
    service.block("a.shop.example", "*.b.shop.example")
    parent = service.block("*.shop.example")
    assert service.zone() == ["shop.example .", "*.shop.example ."]

    service.meet(condition(parent))

    assert service.zone() == ["a.shop.example .", "b.shop.example .", "*.b.shop.example ."]


def test_names_below_a_parent_are_blocked_on_while_the_parent_is_open_for_a_while(service: Service) -> None:
    service.block("*.b.shop.example")
    parent = service.block("*.shop.example")
    service.act(parent, "suspend", {"reason": "talks", "until": text_of(NOW + DAY)})

    assert service.zone() == ["b.shop.example .", "*.b.shop.example ."]
    service.clock.forward(DAY)
    assert service.zone() == ["shop.example .", "*.shop.example ."]

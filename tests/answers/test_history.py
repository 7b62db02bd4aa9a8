"""`/names/{name}/history`: every event of every order that ever named a name, oldest first."""

from tests.service import HOUR, Json, Service, condition, problem


def types(service: Service, name: str) -> list[str]:
    return [event["type"] for event in service.read(f"names/{name}/history")["items"]]


def test_a_history_holds_everything_that_happened_oldest_first(service: Service) -> None:
    order = service.block("a.example")
    service.clock.forward(HOUR)
    service.meet(condition(order))
    service.block("unrelated.example")

    history = service.read("names/a.example/history")

    assert history["next"] is None
    assert types(service, "a.example") == [
        "order.proposed",
        "order.approved",
        "condition.claimed",
        "condition.met",
        "order.ended",
    ]
    assert [event["seq"] for event in history["items"]] == sorted(event["seq"] for event in history["items"])


def test_a_history_holds_the_orders_on_parents(service: Service) -> None:
    service.block("*.x.example")
    service.block("x.example")

    assert len(types(service, "www.x.example")) == 2
    assert len(types(service, "x.example")) == 4


def test_a_history_holds_proposals_that_came_to_nothing(service: Service) -> None:
    service.act(service.propose(), "reject", {"reason": "no"})

    assert types(service, "blocked.example") == ["order.proposed", "order.rejected"]


def test_a_name_without_history_has_an_empty_one(service: Service) -> None:
    assert service.read("names/free.example/history") == {"items": [], "next": None}


def test_what_is_no_name_has_none(service: Service) -> None:
    problem(service.get("names/a..b/history"), 422, "name_invalid")


def test_a_history_comes_in_pages(service: Service) -> None:
    for _ in range(3):
        service.lift(service.block("a.example"))
        service.block("unrelated.example")
    whole = service.read("names/a.example/history")["items"]

    pages: list[list[Json]] = []
    cursor: str | None = ""
    while cursor is not None and len(pages) < 9:
        page = service.read(f"names/a.example/history?limit=4{cursor}")
        pages.append(page["items"])
        cursor = page["next"] and f"&cursor={page['next']}"

    assert [len(page) for page in pages] == [4, 4, 4]
    assert [event for page in pages for event in page] == whole

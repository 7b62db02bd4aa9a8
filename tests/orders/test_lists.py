"""Lists: filters, pages, and the small catalogues."""

import pytest

from app.orders.categories import CATEGORIES
from tests.service import DAY, NOW, Json, Service, problem, text_of


def numbers(service: Service, query: str) -> list[str]:
    return [order["number"] for order in service.read(f"orders?{query}")["items"]]


@pytest.fixture
def five(service: Service) -> Service:
    """An order in each state: proposed, rejected, scheduled, active, ended."""
    service.propose(number="EX-1", category="fraud", authority="Ministry of 100% Care")
    service.act(service.propose(number="EX-2", reason={"id": "Penipuan", "en": "A hoax"}), "reject", {"reason": "no"})
    service.block("c.example", number="EX-3", effective_at=text_of(NOW + DAY))
    service.block("d.example", "e.example", number="EX-4", review_due_at=text_of(NOW + DAY))
    service.lift(service.block("f.example", number="EX-5"))
    return service


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["EX-1", "EX-2", "EX-3", "EX-4", "EX-5"]),
        ("state=proposed", ["EX-1"]),
        ("state=rejected", ["EX-2"]),
        ("state=scheduled", ["EX-3"]),
        ("state=active", ["EX-4"]),
        ("state=ended", ["EX-5"]),
        ("state=importing", []),
        ("category=fraud", ["EX-1"]),
        ("category=nonsense", []),
        ("number=EX-3", ["EX-3"]),
        ("text=penip", ["EX-2"]),
        ("text=100%25", ["EX-1"]),
        ("text=1_0", []),
        ("review_due_before=2026-12-01T00:00:00Z", ["EX-4"]),
        ("state=active&category=fraud", []),
    ],
)
def test_orders_are_filtered(five: Service, query: str, found: list[str]) -> None:
    assert numbers(five, query) == found


@pytest.mark.parametrize(
    "query",
    [
        "state=nonsense",
        "limit=0",
        "limit=501",
        "limit=x",
        "cursor=!",
        "cursor=%C3%A9",
        "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
        "cursor=LTE",
        "review_due_before=tomorrow",
        "review_due_before=2026-12-01T00:00:00",
        "review_due_before=9999-12-31T23:59:59-23:59",
        "text=" + "x" * 201,
    ],
    ids=lambda query: query[:60],
)
def test_a_bad_query_is_refused(five: Service, query: str) -> None:
    problem(five.get(f"orders?{query}"), 422, "body_invalid")


@pytest.mark.parametrize("path", ["orders", "blocks", "conditions", "audit/events"])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_together_are_the_whole_list(five: Service, path: str, limit: int) -> None:
    whole = five.read(f"{path}?limit=500")
    assert whole["next"] is None
    items: list[Json] = []
    page: Json = {"next": ""}
    while page["next"] is not None:
        page = five.read(f"{path}?limit={limit}" + (f"&cursor={page['next']}" if page["next"] else ""))
        assert 0 < len(page["items"]) <= limit
        items += page["items"]

    assert items == whole["items"]


def test_a_list_of_orders_shows_them_without_their_names(five: Service) -> None:
    order = five.read("orders?number=EX-4")["items"][0]

    assert "blocks" not in order
    assert order == {key: value for key, value in five.read(f"orders/{order['id']}").items() if key in order}


def test_blocks_are_listed_with_their_orders(five: Service) -> None:
    order = five.read("orders?number=EX-4")["items"][0]

    assert five.read("blocks?state=active") == {
        "items": [
            {
                "id": f"{order['id']}.{ordinal}",
                "name": name,
                "match": "exact",
                "state": "active",
                "released_at": None,
                "order_id": order["id"],
                "order_number": "EX-4",
                "kind": "block",
            }
            for ordinal, name in enumerate(("d.example", "e.example"))
        ],
        "next": None,
    }


def test_the_etag_of_an_order_is_its_version(five: Service) -> None:
    order = five.read("orders?number=EX-5")["items"][0]

    assert five.get(f"orders/{order['id']}").headers["ETag"] == '"3"'


def test_an_order_that_is_not_there_is_not_found(service: Service) -> None:
    answer = problem(service.get("orders/nonsense"), 404, "not_found")

    assert answer["detail"] == "there is no order nonsense"


def test_categories_are_for_everybody(service: Service) -> None:
    listed = service.read("categories", by=None)

    assert [item["code"] for item in listed["items"]] == [category.code for category in CATEGORIES]
    assert listed["items"][0] == {"code": "pornography", "name": {"id": "Pornografi", "en": "Pornography"}}
    assert len(listed["items"]) == 21


def test_templates_are_listed_with_every_version(service: Service) -> None:
    listed = service.read("sops")["items"]

    assert [(sop["code"], sop["version"], sorted(sop["profiles"])) for sop in listed] == [
        ("ott-platform", 1, ["commercial", "nonprofit"]),
        ("domain-owner", 1, []),
    ]
    assert service.read("sops/domain-owner")["items"] == listed[1:]


def test_a_template_that_is_not_there_is_not_found(service: Service) -> None:
    problem(service.get("sops/nonsense"), 404, "not_found")

"""Drafts, proposals, reporters: nothing of them reaches an ISP, a platform or the public, by any route."""

import pytest
from fastapi.routing import iter_route_contexts

from tests.conftest import Application
from tests.service import HOUR, NOW, Service, targets, text_of

OUTSIDERS = ("isp-1", "platform-1", "admin-1", None)
SECRET = "secretcasino"


def every_get(application: Application) -> list[str]:
    """Every path that answers GET, filled in with what might show the secret."""
    return [
        route.path.replace("{name}", f"{SECRET}.example")
        .replace("{zone}", "block.rpz")
        .replace("{format_}", chosen)
        .replace("{uid}", "nonsense")
        for chosen in ("rpz", "csv", "jsonl")
        for route in iter_route_contexts(application.app.routes)
        if route.path is not None and "GET" in (route.methods or {})
    ]


@pytest.mark.parametrize("state", ["proposed", "rejected", "withdrawn", "scheduled"])
@pytest.mark.parametrize("by", OUTSIDERS)
def test_an_order_that_is_not_in_force_is_seen_by_no_outsider(
    service: Service, application: Application, state: str, by: str | None
) -> None:
    effective_at = text_of(NOW + HOUR) if state == "scheduled" else None
    order = service.propose(
        number=f"{SECRET}-1",
        authority=f"Ministry of {SECRET}",
        targets=targets(f"{SECRET}.example"),
        platform="platform-2",
        effective_at=effective_at,
        reporter=SECRET,
    )
    if state == "rejected":
        service.act(order, "reject", {"reason": SECRET})
    if state == "withdrawn":
        service.act(order, "withdraw", {"reason": SECRET}, by="operator-1")
    if state == "scheduled":
        service.approve(order)
    service.publish()

    for path in every_get(application):
        answer = service.get(path.replace("nonsense", order["id"]), by=by).text
        shown = answer.replace(f'"{SECRET}.example"', "").replace(f"{SECRET}.example", "")
        assert SECRET not in shown, path
        assert order["id"] not in answer.replace(f"there is no condition {order['id']}", ""), path


@pytest.mark.parametrize("by", OUTSIDERS)
def test_a_proposal_does_not_make_a_name_look_different(service: Service, by: str | None) -> None:
    before = service.read("names/blocked.example", by=by)
    service.propose(targets=targets("blocked.example"))

    assert service.read("names/blocked.example", by=by) == before


@pytest.mark.parametrize("by", OUTSIDERS)
def test_a_proposal_does_not_change_the_answer_about_a_lifted_name(service: Service, by: str | None) -> None:
    service.lift(service.block("blocked.example"))
    before = service.read("names/blocked.example", by=by)
    service.propose(targets=targets("blocked.example"))

    assert service.read("names/blocked.example", by=by) == before

"""Figures of blocks and lifts: what the events alone tell is what the database would answer."""

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median_low
from typing import Any

from sqlalchemy import func, select

from app.audit import figures
from app.orders.models import InForce, Order, OrderKind, TargetRow
from tests.audit.journals import contents
from tests.audit.test_routes import exported
from tests.service import DAY, HOUR, Json, Service, condition, targets, text_of

Row = dict[str, Any]


def live_through(service: Service) -> None:
    """A history of blocks, of several categories and authorities, that end in every way or not at all."""
    fraud: Json = {"category": "fraud", "authority": "Another Authority"}
    waiting = service.propose()
    service.act(service.propose(**fraud), "reject", {"reason": "x"})
    first, second = service.block("a.example", "b.example"), service.block("c.example", **fraud)
    scheduled = service.block("d.example", effective_at=text_of(service.clock() + 2 * DAY))
    never = service.block("e.example", effective_at=text_of(service.clock() + 9 * DAY))
    service.exception("x.a.example")
    service.clock.forward(HOUR)
    service.lift(first, targets=targets("a.example"))
    service.lift(never)
    service.act(second, "suspend", {"reason": "x", "until": text_of(service.clock() + 5 * DAY)})
    service.clock.forward(3 * DAY)
    service.publish()
    service.meet(condition(service.read(f"orders/{scheduled['id']}")))
    service.clock.forward(3 * DAY)
    service.publish()
    service.lift(second)
    service.propose(kind="emergency", number="EM-1", targets=targets("em.example"))
    service.clock.forward(3 * DAY)
    service.publish()
    service.block("f.example", category="hoax")
    assert waiting["state"] == "proposed"


def asked(service: Service) -> list[Row]:
    """What the database answers."""
    with service.database.read() as session:
        found: dict[tuple[str, str], list[Row]] = {}
        for order in session.scalars(select(Order).where(Order.kind != OrderKind.EXCEPTION)):
            began = session.scalar(select(func.min(InForce.began_at)).where(InForce.order_id == order.id))
            if began is None:
                continue
            released = select(func.count()).where(TargetRow.order_id == order.id, TargetRow.released_at.is_not(None))
            ended = order.ended_at is not None
            row = {
                "names": order.targets_count,
                "lifted": order.targets_count if ended else session.scalar(released),
                "took": None if order.ended_at is None else seconds(order.ended_at - utc(began)),
            }
            found.setdefault((order.category, order.authority), []).append(row)
        return [summed(*group, rows) for group, rows in sorted(found.items())]


def utc(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def seconds(took: dt.timedelta) -> int:
    return int(took.total_seconds())


def summed(category: str, authority: str, rows: Sequence[Row]) -> Row:
    took = [row["took"] for row in rows if row["took"] is not None]
    return {
        "category": category,
        "authority": authority,
        "blocks": len(rows),
        "names_blocked": sum(row["names"] for row in rows),
        "lifts": len(took),
        "names_lifted": sum(row["lifted"] for row in rows),
        "seconds_to_lift_shortest": min(took, default=None),
        "seconds_to_lift_median": median_low(took) if took else None,
        "seconds_to_lift_longest": max(took, default=None),
    }


def test_the_events_alone_tell_what_the_database_answers(service: Service, tmp_path: Path) -> None:
    live_through(service)
    expected = asked(service)
    files = contents(exported(service, tmp_path / "journal.zip"))

    assert service.get("audit/figures.json").json() == expected
    assert json.loads(files["figures.json"]) == expected
    assert figures.of(map(json.loads, files["events.jsonl"].splitlines())) == expected
    assert service.get("audit/figures.csv").text == files["figures.csv"].decode()
    assert files["figures.csv"].decode() == (
        "category,authority,blocks,names_blocked,lifts,names_lifted,"
        "seconds_to_lift_shortest,seconds_to_lift_median,seconds_to_lift_longest\r\n"
        "fraud,Another Authority,1,1,1,1,522000,522000,522000\r\n"
        "gambling,Example Ministry,3,4,2,3,0,0,259200\r\n"
        "hoax,Example Ministry,1,1,0,0,,,\r\n"
    )


def test_what_nobody_decided_is_in_no_figure(service: Service) -> None:
    service.propose(category="hoax")
    service.act(service.propose(category="fraud"), "withdraw", {"reason": "x"}, by="operator-1")

    assert service.get("audit/figures.json").json() == []

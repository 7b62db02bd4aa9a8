"""Every clock of the law that runs, the one due first at the front: on proposals, on applications, on ISPs."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.answers.names import Answer
from app.cases import documents as applications
from app.cases import queries as cases
from app.cases.models import ApplicationKind
from app.cases.receive import CLOCKS
from app.orders import waiting
from app.places import Place, Placed, merged
from app.regime import ClockCode, Regime
from app.subscribers import clocks as subscribers
from resolver_policy import names

SOURCES = tuple(ClockCode)
"""Each clock is a source of the list, by its place here."""

KINDS = {code: kind for kind, code in CLOCKS.items()}


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of an installation at a moment; `isp_applies` is how long an ISP may take."""

    session: Session
    regime: Regime
    isp_applies: dt.timedelta
    now: dt.datetime

    def page(self, *, only: ClockCode | None, overdue: bool, after: Place, limit: int) -> Sequence[Placed]:
        """Clocks behind a place, at most `limit`; with `overdue` those alone whose time is over.

        Each source gives what would fill the page, by an index: that costs as much as the page, and as there are ISPs,
        whatever the number of orders and names.
        """
        lists = [self._of(code, after, limit) for code in SOURCES if only in {None, code}]
        found = merged(lists, limit)
        return [each for each in found if each.item["overdue"]] if overdue else found

    def _of(self, code: ClockCode, after: Place, limit: int) -> Sequence[Placed]:
        source = SOURCES.index(code)
        if code is ClockCode.ISP_APPLIED:
            return subscribers.page(
                self.session, self.regime, self.isp_applies, self.now, source=source, behind=after, limit=limit
            )
        if code in KINDS:
            return self._applications(KINDS[code], source, after, limit)
        return waiting.page(self.session, self.regime, code, self.now, source=source, after=after, limit=limit)

    def _applications(self, kind: ApplicationKind, source: int, after: Place, limit: int) -> Sequence[Placed]:
        rows = cases.waiting(self.session, kind, source=source, after=after, limit=limit)
        return [
            Placed(
                Place(row.due_at, source, row.id),
                {
                    **applications.clock(row, self.now, regime=self.regime),
                    "application": {"id": row.uid, "kind": row.kind, "state": row.state},
                },
            )
            for row in rows
            if row.due_at is not None
        ]


def pending(session: Session, regime: Regime, answer: Answer, *, now: dt.datetime | None) -> list[dict[str, Any]]:
    """Applications about a name that were not decided at the moment of an answer; `now`: with their clocks."""
    ids = {holder.order.id for holder in answer.holders}
    return [
        {
            "id": row.uid,
            "kind": row.kind,
            "received_at": row.received_at,
            "clock": None if now is None else applications.clock(row, now, regime=regime),
        }
        for row in cases.pending(session, names.sort_key(answer.name), ids, answer.at)
    ]


def how_to_apply(regime: Regime, public_url: str) -> dict[str, Any]:
    """What the public is told: to whom one applies, with which papers, and how soon it is decided."""
    return {
        "id": f"Ajukan normalisasi kepada kementerian dengan menyebut nomor perintah; keterangan: {public_url}",
        "en": f"Apply to the ministry for normalisation, naming the order number; information: {public_url}",
        "decided_within_hours": regime.clock(ClockCode.APPLICATION_DECIDED).hours,
        "papers": {
            standing: [{"code": paper.code, "id": paper.id, "en": paper.en} for paper in papers]
            for standing, papers in regime.documents
        },
    }

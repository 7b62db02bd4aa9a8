"""The checklist: which papers an application brings, by the regime, and which were brought."""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cases.models import Application, ApplicationKind, BroughtPaper
from app.cases.schemas import PaperIn
from app.errors import Fault, Unprocessable
from app.journal.actor import Actor
from app.regime import Paper, Regime


def asked(regime: Regime, kind: str, standing: str) -> Sequence[Paper]:
    """What an appeal, or an applicant of this standing, is asked for."""
    found: Sequence[Paper] = getattr(regime.documents, "appeal" if kind == ApplicationKind.APPEAL else standing)
    return found


def lacking(checklist: Sequence[Paper], brought: Sequence[PaperIn]) -> list[str]:
    """The codes of the papers that were not brought, as the checklist has them; raises Unprocessable for another."""
    check_known(checklist, [paper.code for paper in brought], "/papers")
    codes = {paper.code for paper in brought}
    return [paper.code for paper in checklist if paper.code not in codes]


def check_known(checklist: Iterable[Paper], codes: Collection[str], pointer: str) -> None:
    """Raise Unprocessable for a code that the checklist does not have, or that is said twice."""
    known, seen = [paper.code for paper in checklist], set[str]()
    for index, code in enumerate(codes):
        if code not in known or code in seen:
            rule = "paper_twice" if code in seen else "paper_unknown"
            why = "is there twice" if code in seen else f"is no paper of this checklist: {', '.join(known)}"
            raise Unprocessable(f"{code} {why}", faults=(Fault(rule, code, f"{pointer}/{index}"),))
        seen.add(code)


def bring(
    session: Session, actor: Actor, application: Application, brought: Sequence[PaperIn], now: dt.datetime
) -> None:
    """Note papers; one of a code that was brought before stands beside it."""
    session.add_all(
        BroughtPaper(
            application_id=application.id,
            code=paper.code,
            reference=paper.reference,
            sha256=None if paper.sha256 is None else bytes.fromhex(paper.sha256),
            brought_at=now,
            brought_by_id=actor.principal_id,
        )
        for paper in brought
    )


def facts(paper: PaperIn) -> dict[str, str | None]:
    """A paper as the journal has it."""
    return {"code": paper.code, "reference": paper.reference, "sha256": paper.sha256}


def brought(session: Session, application: Application) -> list[dict[str, Any]]:
    """The papers of an application, as the interface shows them, oldest first."""
    query = select(BroughtPaper).where(BroughtPaper.application_id == application.id).order_by(BroughtPaper.id)
    return [
        {
            "code": row.code,
            "reference": row.reference,
            "sha256": None if row.sha256 is None else row.sha256.hex(),
            "brought_at": row.brought_at,
        }
        for row in session.scalars(query)
    ]

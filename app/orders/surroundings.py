"""What is known around a target: whose names lie below it, how popular it is, on which platform it stands."""

from typing import Any, NamedTuple

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from app.orders import targets
from app.orders.guarding import Guard
from app.orders.models import Order, OrderState, TargetRow
from app.orders.rank_models import RankedName, RankFile
from resolver_policy import names

COUNTED = 100
"""Names below a subtree that are counted; of more a plan says so."""

SHOWN = 5


class Surroundings(NamedTuple):
    """What a plan tells of one target besides who holds it.

    `platform` is the hosting platform (a private public suffix, or a listed one) on which the name is somebody's own.
    `rank` is that of the name, or of the nearest name above that has one. `below` is None for an exact target.
    """

    public_suffix: str
    platform: str | None
    rank: dict[str, Any] | None
    below: dict[str, Any] | None

    @property
    def tells_something(self) -> bool:
        """Whether it belongs into what an approval is bound to."""
        below = self.below is not None and bool(self.below["targets"] or self.below["ranked"])
        return below or self.platform is not None or self.rank is not None


class Looker:
    """Finds what is known around the targets of one order."""

    def __init__(self, session: Session, guard: Guard, order: Order) -> None:
        self._session, self._guard, self._order = session, guard, order
        self._file_id = session.scalar(select(RankFile.id).where(RankFile.live, RankFile.replaced_at.is_(None)))

    def around(self, key: str, match: int) -> Surroundings:
        """What is known around one target."""
        name = names.from_key(key)
        return Surroundings(
            self._guard.suffixes.above(name),
            _platform(self._guard, name),
            None if self._file_id is None else _rank(self._session, self._file_id, key),
            _below(self._session, self._order, self._file_id, key) if match == targets.SUBTREE else None,
        )


def _platform(guard: Guard, name: str) -> str | None:
    soft = guard.protected.soft
    for parent in names.ancestors(name):
        if guard.suffixes.private.has(parent) or (parent in soft and soft[parent].kind == "suffix"):
            return parent
    return None


def _rank(session: Session, file_id: int, key: str) -> dict[str, Any] | None:
    above = [key, *names.key_ancestors(key)]
    query = select(RankedName.key, RankedName.rank).where(RankedName.file_id == file_id, RankedName.key.in_(above))
    found = max(session.execute(query).all(), key=lambda row: len(row[0]), default=None)
    return None if found is None else {"name": names.from_key(found[0]), "rank": found[1]}


def _below(session: Session, order: Order, file_id: int | None, key: str) -> dict[str, Any]:
    others = (
        select(TargetRow.key)
        .join(Order, Order.id == TargetRow.order_id)
        .where(TargetRow.key > key, TargetRow.key < names.subtree_end(key))
        .where(Order.id != order.id, Order.state != OrderState.IMPORTING)
        .distinct()
        .limit(COUNTED + 1)
    )
    known = sorted(session.scalars(others))
    ranked = [] if file_id is None else _ranked_below(session, file_id, key)
    return {
        "targets": min(len(known), COUNTED),
        "names": [names.from_key(each) for each in known[:SHOWN]],
        "ranked": min(len(ranked), COUNTED),
        "popular": [{"name": names.from_key(each), "rank": rank} for rank, each in sorted(ranked)[:SHOWN]],
        "more": max(len(known), len(ranked)) > COUNTED,
    }


def _ranked_below(session: Session, file_id: int, key: str) -> list[tuple[int, str]]:
    within = and_(RankedName.file_id == file_id, RankedName.key > key, RankedName.key < names.subtree_end(key))
    rows = session.execute(select(RankedName.rank, RankedName.key).where(within).limit(COUNTED + 1))
    return [(rank, each) for rank, each in rows]

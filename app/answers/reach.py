"""Whether what holds for a name has reached the ISPs: one of them, or how many; now, or as it was known at a moment."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.answers.names import Answer
from app.publication import zones
from app.publication.models import Release, Zone, ZoneSerial
from app.publication.zones import Layer, layer_of
from app.subscribers import queries, standing
from app.subscribers.models import SubscriberRow
from app.subscribers.standing import Has
from app.subscribers.verdicts import last_change, verdicts
from resolver_policy import names


@dataclass(frozen=True, slots=True)
class AtIsp:
    """One zone at one ISP. `blocks` says what the serial that it has does; None where none is known.

    `in_effect` is whether that is what was decided; `servers` counts those that must have a serial, `reached` those of
    them for which it is so.
    """

    zone: str
    serial: int
    published: bool
    has: Has | None
    blocks: bool | None
    in_effect: bool | None
    servers: int
    reached: int


@dataclass(frozen=True, slots=True)
class Reach:
    """How many subscribers have the release that last changed what is published of a name.

    `published` is False where what was decided is not published yet: then nobody has it.
    """

    published: bool
    published_at: dt.datetime
    reached: int
    of: int


def at_isp(session: Session, answer: Answer, row: SubscriberRow, past: dt.datetime | None) -> Sequence[AtIsp]:
    """Whether one ISP has what holds for the name of an answer, zone by zone; `past`: the moment asked about."""
    key, newest = names.sort_key(answer.name), _head(session, past)
    if newest is None:
        return []
    found = standing.by_slot(standing.known(session, [row.id], past), answer.at)
    return [
        _at_isp(session, answer, key, zone.name, _serial(session, zone, newest), newest, found.get((row.id, zone.name)))
        for zone in _zones(session, past)
        if layer_of(zone.name) is Layer.FULL or (row.id, zone.name) in found
    ]


def reach(session: Session, answer: Answer, past: dt.datetime | None) -> Reach | None:
    """How far the last published change of a name has come; None where nothing was ever published about it.

    A subscriber has it when it has it in every zone that it takes. Who may take nothing is not counted.
    """
    key, newest = names.sort_key(answer.name), _head(session, past)
    changed = None if newest is None else last_change(session, key, newest.id)
    if newest is None or changed is None:
        return None
    published = verdicts(session, [key], newest.id)[key].own == answer.blocked
    ids = _subscribers(session, past)
    found = standing.by_slot(standing.known(session, ids, past), answer.at)
    taken = {zone.name for zone in _zones(session, past)}
    count = sum(_has_all(found, id_, taken, changed) for id_ in ids) if published else 0
    return Reach(published, session.get_one(Release, changed).published_at, count, len(ids))


def changed_at(session: Session, answer: Answer, past: dt.datetime | None) -> dt.datetime | None:
    """When what is published of a name last changed: from then on ISPs have their time to apply it."""
    newest = _head(session, past)
    changed = None if newest is None else last_change(session, names.sort_key(answer.name), newest.id)
    return None if changed is None else session.get_one(Release, changed).published_at


def _at_isp(
    session: Session, answer: Answer, key: str, zone: str, serial: int, newest: Release, has: Has | None
) -> AtIsp:
    servers = () if has is None else has.servers
    releases = {each.release for each in servers if each.release is not None}
    blocks = {release: verdicts(session, [key], release)[key].own for release in {*releases, newest.id}}
    what_it_has = None if has is None or has.release is None else blocks[has.release]
    return AtIsp(
        zone,
        serial,
        blocks[newest.id],
        has,
        what_it_has,
        None if what_it_has is None else what_it_has == answer.blocked,
        len(servers),
        sum(each.release is not None and blocks[each.release] == answer.blocked for each in servers),
    )


def _has_all(found: Mapping[standing.Slot, Has], id_: int, taken: Collection[str], release: int) -> bool:
    mine = [found[id_, zone] for zone in taken if (id_, zone) in found]
    return bool(mine) and all(has.release is not None and has.release >= release for has in mine)


def _head(session: Session, past: dt.datetime | None) -> Release | None:
    return zones.head(session) if past is None else zones.head_at(session, past)


def _zones(session: Session, past: dt.datetime | None) -> Sequence[Zone]:
    """Those by which something is answered: a base never is alone, what is in front of it has the newest."""
    found = zones.active(session) if past is None else zones.active_at(session, past)
    return [zone for zone in found if layer_of(zone.name) is not Layer.BASE]


def _serial(session: Session, zone: Zone, newest: Release) -> int:
    query = select(func.max(ZoneSerial.serial)).where(ZoneSerial.zone_id == zone.id, ZoneSerial.release_id <= newest.id)
    return session.execute(query).scalar_one() or 0


def _subscribers(session: Session, past: dt.datetime | None) -> list[int]:
    """Those that could take a zone, now or at a moment."""
    query = select(SubscriberRow.id, SubscriberRow.keyed)
    if past is None:
        query = query.where(SubscriberRow.removed_at.is_(None))
    else:
        stayed = or_(SubscriberRow.removed_at.is_(None), SubscriberRow.removed_at > past)
        query = query.where(SubscriberRow.created_at <= past, stayed)
    rows = session.execute(query).all()
    signing = queries.with_a_key(session, [id_ for id_, _ in rows])
    return [id_ for id_, keyed in rows if not keyed or id_ in signing]

"""What was published and what an ISP held, as the interface shows it: fields for programs, sentences for people."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.answers import held as asking
from app.answers.held import TTL, AtMoment, AtServer, AtZone, Known, Published, Why
from app.answers.names import Answer, Holder
from app.journal import queries as journal
from app.publication.models import Zone, ZoneSerial
from app.subscribers.held import Basis, Held, Sight

SERVERS_SHOWN = 50

SAID = {
    Known.YES: "yes, it was blocked there",
    Known.NO: "no, it was not blocked there",
    Known.PARTLY: "partly: by some of its servers and not by others",
    Known.NOT_KNOWN: "not known",
}
WHY = {
    Why.NOT_REGISTERED: "{isp} was not registered yet, so nothing is known of it",
    Why.NEVER_SEEN: "{isp} had shown no serial: it may have held any that was published by then, or none",
    Why.REPLAYED: "a past case: nothing was published here then, so by what {isp} said of it, if anything",
    Why.REMOVED: "{isp} had been removed: it could take nothing new, and may have held nothing any more",
}
BECAUSE = {
    Basis.SEEN_WITH_IT: "seen with it before and after, and sent nothing newer meanwhile",
    Basis.BEING_TAKEN: "a transfer had begun, and it was not seen with it yet: it may have held either",
    Basis.BETWEEN_TWO: "it came from the one to the other unseen: it may have held either, or any between",
    Basis.NOT_SEEN_SINCE: "not seen with any since: it may have taken any that was published by then",
    Basis.NOT_SEEN_BEFORE: "first seen later: it may have held any that was published by then, or none",
    Basis.FOREIGN: "it showed a serial that this zone never had",
}


def published(session: Session, answer: Answer) -> dict[str, Any]:
    """What was published of the name of an answer at its moment, and all of it in words."""
    now, since = asking.published(session, answer.name, answer.at)
    carried = [(holder, asking.carried_by(session, holder, answer.name, answer.at)) for holder in answer.holders]
    first = journal.first_recorded_at(session)
    recorded = first is not None and first <= answer.at
    return {
        "published": None if now is None else {**_release(now), "blocked": now.blocks, "since": _or_none(since)},
        "carried_by": [
            {"order_number": holder.order.number, "order_id": holder.order.uid, "by": _or_none(release)}
            for holder, release in carried
        ],
        "words": [*_decided(answer, carried, recorded=recorded), _published_words(answer, now, since)],
    }


def document(session: Session, answer: Answer, found: AtMoment) -> dict[str, Any]:
    """What one ISP held, zone by zone and server by server."""
    serials = _Serials(session)
    return {
        "answer": found.answer,
        "why": found.why,
        "caches_seconds": int(TTL.total_seconds()),
        "zones": [_zone(each, serials) for each in found.zones],
        "words": list(words(answer, found)),
    }


def words(answer: Answer, found: AtMoment) -> Iterator[str]:
    """The answer about an ISP in sentences, the answer itself first."""
    yield f"{found.isp} at {_said(answer.at)}: {SAID[found.answer]}"
    if found.why is not None:
        yield WHY[found.why].format(isp=found.isp)
    for zone in found.zones:
        called = f"{zone.zone} in layers" if zone.layered else zone.zone
        for server in zone.servers[:SERVERS_SHOWN]:
            yield f"{called}, {server.address or 'as acknowledged'}: {SAID[server.answer]}"
            yield from map(_held_words, server.held)
    if found.zones and found.answer is not Known.NOT_KNOWN:
        seconds = int(TTL.total_seconds())
        yield f"a resolver may have given an answer from before out of its cache for up to {seconds} s"


def _decided(answer: Answer, carried: Sequence[tuple[Holder, Published | None]], *, recorded: bool) -> Iterator[str]:
    if not recorded:
        yield f"decided by {_said(answer.at)}: nothing had been recorded yet"
        return
    yield f"decided by {_said(answer.at)}: {answer.name} {'is blocked' if answer.blocked else 'is not blocked'}"
    for holder, release in carried:
        held_by = f"held by {_called(holder)} since {_said(holder.since)}"
        if release is None:
            yield held_by
        else:
            yield f"{held_by}; first carried by release {release.release} ({_serials(release)}) at {_said(release.at)}"


def _published_words(answer: Answer, now: Published | None, since: Published | None) -> str:
    if now is None:
        return f"published by {_said(answer.at)}: nothing yet"
    verdict = "blocked" if now.blocks else "not blocked"
    begun = "" if since is None else f", so since release {since.release} at {_said(since.at)}"
    late = "" if now.blocks == answer.blocked else "; what was decided was not published yet"
    return f"published by {_said(answer.at)}: {verdict} by release {now.release} ({_serials(now)}){begun}{late}"


def _held_words(one: Held) -> str:
    before = "never seen before" if one.before is None else f"seen with {_sight(one.before)}"
    after = "not seen since" if one.after is None else f"then with {_sight(one.after)}"
    sent = "".join(f", sent {each.serial} at {_said(each.at)}" for each in one.sent)
    return f"  {one.zone}: {before}{sent}, {after}: {BECAUSE[one.basis]}"


def _sight(sight: Sight) -> str:
    return f"{'nothing' if sight.serial is None else f'serial {sight.serial}'} at {_said(sight.at)} ({sight.by})"


class _Serials:
    """The serials that stretches of releases had in a zone."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, zone: str, stretches: Sequence[tuple[int, int]]) -> list[list[int]]:
        """First and last serial of each stretch; a zone has none in releases that were not of it."""
        found = [[self._last(zone, first), self._last(zone, last)] for first, last in stretches]
        return [[first or last, last] for first, last in found if last]

    def _last(self, zone: str, release: int) -> int:
        query = select(ZoneSerial.serial).join(Zone, Zone.id == ZoneSerial.zone_id)
        mine = query.where(Zone.name == zone, ZoneSerial.release_id <= release)
        return self._session.scalar(mine.order_by(ZoneSerial.release_id.desc()).limit(1)) or 0


def _zone(zone: AtZone, serials: _Serials) -> dict[str, Any]:
    return {
        "zone": zone.zone,
        "layered": zone.layered,
        "answer": zone.answer,
        "servers": [_server(each, serials) for each in zone.servers[:SERVERS_SHOWN]],
        "servers_left_out": max(0, len(zone.servers) - SERVERS_SHOWN),
    }


def _server(server: AtServer, serials: _Serials) -> dict[str, Any]:
    return {
        "address": server.address or None,
        "answer": server.answer,
        "held": [_held(each, serials) for each in server.held],
    }


def _held(one: Held, serials: _Serials) -> dict[str, Any]:
    return {
        "zone": one.zone,
        "before": _sight_document(one.before),
        "after": _sight_document(one.after),
        "sent": [{"serial": each.serial, "at": each.at} for each in one.sent],
        "may_have_held": {"serials": serials.of(one.zone, one.stretches), "nothing": one.nothing},
        "because": one.basis,
        "unchanged_until": one.until,
    }


def _sight_document(sight: Sight | None) -> dict[str, Any] | None:
    return None if sight is None else {"serial": sight.serial, "at": sight.at, "by": sight.by}


def _release(release: Published) -> dict[str, Any]:
    return {"release": release.release, "at": release.at, "serials": release.serials}


def _or_none(release: Published | None) -> Mapping[str, Any] | None:
    return None if release is None else _release(release)


def _called(holder: Holder) -> str:
    return holder.order.number or "an order without a number"


def _serials(release: Published) -> str:
    return ", ".join(f"{zone} {serial}" for zone, serial in release.serials.items())


def _said(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"

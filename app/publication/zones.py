"""Zones as configured, and the serials they give to releases."""

import datetime as dt
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import groupby

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.errors import Fault, Gone, NotFound, SettingInvalid, Unprocessable
from app.journal.actor import CLOCK, Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders import targets
from app.publication.marks import Marks
from app.publication.models import Release, Zone, ZoneSerial
from app.settings import ZoneSetting
from resolver_policy import layers, names
from resolver_policy.actions import Action, parse_action
from resolver_policy.errors import PolicyError
from resolver_policy.serial import HALF, HIGHEST, next_serial
from resolver_policy.targets import Decision

SERIALS_KEPT = 2**24
"""Serials that a floor must leave: one a second for half a year, without a break."""


class Layer(StrEnum):
    """What a zone is: all of the policy at once, an earlier state of it, or what stands in front of that."""

    FULL = "full"
    BASE = "base"
    URGENT = "urgent"


def layer_of(name: str) -> Layer:
    """What a zone is, by its name: settings name no zone so that it could be mistaken."""
    if name.startswith(layers.BASE):
        return Layer.BASE
    return Layer.URGENT if name.startswith(layers.URGENT) else Layer.FULL


def without_layer(name: str) -> str:
    """The zone that a layer belongs to; itself for any other."""
    return name if layer_of(name) is Layer.FULL else name.partition(".")[2]


def with_layers(settings: Iterable[ZoneSetting]) -> list[ZoneSetting]:
    """Zones, and behind each its layers, in the order in which a resolver lists them."""
    return [each._replace(name=prefix + each.name) for each in settings for prefix in ("", layers.URGENT, layers.BASE)]


def publish_layers(session: Session, now: dt.datetime) -> bool:
    """Let every zone have layers, from the next release on; False where they have them already."""
    full = [ZoneSetting(zone.name, parse_action(zone.action)) for zone in active(session)]
    wanted = with_layers(each for each in full if layer_of(each.name) is Layer.FULL)
    newest = head(session)
    next_release = 1 if newest is None else newest.id + 1
    known = {zone.name: zone for zone in session.scalars(select(Zone))}
    changed = [_configure_one(session, known.get(each.name), each, next_release, now) for each in wanted]
    session.flush()
    return any(changed)


def active(session: Session) -> Sequence[Zone]:
    """The zones that are published, by name."""
    return session.scalars(select(Zone).where(Zone.retired_at.is_(None)).order_by(Zone.name)).all()


def by_name(session: Session, name: str) -> Zone:
    """A published zone; raises NotFound."""
    zone = session.scalars(select(Zone).where(Zone.name == name, Zone.retired_at.is_(None))).one_or_none()
    if zone is None:
        raise NotFound(f"there is no zone {name[:255]}")
    return zone


def head(session: Session) -> Release | None:
    """The newest release; None before the first."""
    return session.scalars(select(Release).order_by(Release.id.desc()).limit(1)).one_or_none()


def head_at(session: Session, at: dt.datetime) -> Release | None:
    """The release that was the newest at a moment; None before the first."""
    query = select(Release).where(Release.published_at <= at)
    return session.scalars(query.order_by(Release.published_at.desc(), Release.id.desc()).limit(1)).one_or_none()


def active_at(session: Session, at: dt.datetime) -> Sequence[Zone]:
    """The zones that were published at a moment, by name."""
    lived = or_(Zone.retired_at.is_(None), Zone.retired_at > at)
    return session.scalars(select(Zone).where(Zone.created_at <= at, lived).order_by(Zone.name)).all()


def last_serial(session: Session, zone: Zone) -> int:
    """The highest serial a zone has had; 0 before its first."""
    query = select(func.max(ZoneSerial.serial)).where(ZoneSerial.zone_id == zone.id)
    return session.execute(query).scalar_one() or 0


def release_of(session: Session, zone: Zone, serial: int) -> int | None:
    """The release that a zone published under a serial; None for a serial it never had."""
    query = select(ZoneSerial.release_id).where(ZoneSerial.zone_id == zone.id, ZoneSerial.serial == serial)
    return session.scalar(query)


def needed_release(session: Session, zone: Zone, serial: int) -> int:
    """The same; raises Gone."""
    found = release_of(session, zone, serial)
    if found is None:
        raise Gone(f"{zone.name} never had the serial {serial}", faults=(Fault("serial", str(serial), "/serial"),))
    return found


def at_release(session: Session, zone: Zone, release_id: int) -> ZoneSerial | None:
    """What a zone was in a release: its serial, and the release that has its rules; None before its first."""
    query = select(ZoneSerial).where(ZoneSerial.zone_id == zone.id, ZoneSerial.release_id <= release_id)
    return session.scalars(query.order_by(ZoneSerial.release_id.desc()).limit(1)).one_or_none()


def assign_serials(
    session: Session,
    release: Release,
    marks: Marks,
    now: dt.datetime,
    *,
    as_base: bool = False,
    begins: bool = True,
    changed: bool = True,
) -> dict[str, int]:
    """Give a release its serial in every zone: above all that were ever shown, never below the zone's floor.

    A zone and its layers have one between them. Every `base` has it where the release is cut `as_base`, or has to be
    since one of them is new, or begins an epoch: `urgent` makes up for the same bases in all zones. Layers that are new
    wait for a release with which something `begins`. Where no rule `changed` and nothing begins, only `urgent` did: a
    serial of the whole zone would cost every resolver that holds it as much as a change.
    """
    serials = {}
    ordered = sorted(active(session), key=lambda zone: without_layer(zone.name))
    beginning = {zone.name for zone in ordered if _has_to_begin(session, zone, release.id)}
    as_base = as_base or (begins and any(layer_of(name) is Layer.BASE for name in beginning))
    whole = changed or as_base or bool(beginning)
    for _, family in groupby(ordered, key=lambda zone: without_layer(zone.name)):
        together = list(family)
        previous = max(last_serial(session, zone) for zone in together)
        shown, floor = (max(each) for each in zip(*((marks.highest(z.name), z.floor) for z in together), strict=True))
        serial = next_serial(previous, shown, floor, int(now.timestamp()))
        for zone in together:
            layer = layer_of(zone.name)
            if layer is Layer.FULL:
                has_one = whole
            else:
                has_one = begins if zone.name in beginning else as_base or layer is Layer.URGENT
            if has_one:
                session.add(ZoneSerial(zone_id=zone.id, release_id=release.id, serial=serial))
                serials[zone.name] = serial
    return serials


def _has_to_begin(session: Session, zone: Zone, release_id: int) -> bool:
    last = at_release(session, zone, release_id)
    return last is None or last.release_id < zone.epoch_release_id


def configure(
    session: Session, settings: Sequence[ZoneSetting], marks: Marks, now: dt.datetime, *, restored: bool = False
) -> bool:
    """Bring the table of zones in line with the settings.

    True where something must be published that no order explains: a new zone, another action (a new epoch), serials
    that were shown and that this database, an older copy, does not know, or the first release after it was `restored`.
    """
    newest = head(session)
    next_release = 1 if newest is None else newest.id + 1
    known = {zone.name: zone for zone in session.scalars(select(Zone))}
    if any(layer_of(zone.name) is not Layer.FULL and zone.retired_at is None for zone in known.values()):
        settings = with_layers(settings)
    for each in settings:
        if layer_of(each.name) is Layer.FULL and _differs(known.get(each.name), each):
            _check_fits(session, each, now)
    changed = [_configure_one(session, known.get(each.name), each, next_release, now) for each in settings]
    _retire(session, known, {each.name for each in settings}, now)
    session.flush()
    behind = [_moves_forward(session, zone, marks, next_release, now) for zone in active(session)]
    for zone in active(session) if restored else ():
        zone.epoch_release_id = next_release
    return any(changed) or any(behind) or restored


def set_floor(session: Session, actor: Actor, name: str, serial: int, now: dt.datetime) -> Zone:
    """Make a zone's next serial larger than `serial`: for ISPs that come from a feed with larger numbers."""
    zone = by_name(session, name)
    furthest = min(last_serial(session, zone) + HALF - 1, HIGHEST - SERIALS_KEPT)
    if not 0 <= serial <= furthest:
        raise Unprocessable(
            f"{serial} is not a serial from 0 to {furthest}: secondaries would take it for an older one"
        )
    zone.floor = max(zone.floor, serial)
    append(session, actor, Entry(EventType.ZONE_FLOOR_SET, {"zone": name, "floor": zone.floor}), now)
    return zone


def action_text(action: Action) -> str:
    """An action as settings write it."""
    return action.kind if action.target is None else f"{action.kind}:{action.target}"


def _configure_one(
    session: Session, zone: Zone | None, setting: ZoneSetting, next_release: int, now: dt.datetime
) -> bool:
    if not _differs(zone, setting):
        return False
    action = action_text(setting.action)
    facts: dict[str, object] = {"zone": setting.name, "action": action}
    if zone is None:
        session.add(
            Zone(
                name=setting.name,
                action=action,
                floor=0,
                epoch_release_id=next_release,
                created_at=now,
                retired_at=None,
            )
        )
        append(session, CLOCK, Entry(EventType.ZONE_ADDED, facts), now)
        return True
    zone.action, zone.retired_at, zone.epoch_release_id = action, None, next_release
    append(session, CLOCK, Entry(EventType.ZONE_CHANGED, facts), now)
    return True


def _differs(zone: Zone | None, setting: ZoneSetting) -> bool:
    return zone is None or zone.retired_at is not None or zone.action != action_text(setting.action)


def _check_fits(session: Session, setting: ZoneSetting, now: dt.datetime) -> None:
    """Refuse a zone in which a held name is too long, or whose redirect target is itself blocked.

    Layers may begin any day, while others wait for the writer's lock; so a name must fit below `urgent.ZONE` already.
    """
    longest = targets.longest_key(session)
    if longest is not None:
        try:
            names.check_fits(names.from_key(longest), layers.URGENT + setting.name)
        except PolicyError as error:
            raise SettingInvalid(f"zone {setting.name}: {error.detail}") from error
    landing = setting.action.target
    if landing is not None:
        held = targets.cover_at(session, names.sort_key(landing), now)
        if targets.decision_of(landing, held) is Decision.BLOCK:
            raise SettingInvalid(f"zone {setting.name}: its redirect target {landing} is blocked")


def _retire(session: Session, known: dict[str, Zone], wanted: set[str], now: dt.datetime) -> None:
    for name, zone in known.items():
        if name not in wanted and zone.retired_at is None:
            zone.retired_at = now
            append(session, CLOCK, Entry(EventType.ZONE_RETIRED, {"zone": name}), now)


def _moves_forward(session: Session, zone: Zone, marks: Marks, next_release: int, now: dt.datetime) -> bool:
    shown, known = marks.highest(zone.name), last_serial(session, zone)
    if shown <= known:
        return False
    zone.epoch_release_id = next_release
    facts: dict[str, object] = {"zone": zone.name, "shown": shown, "known": known}
    append(session, CLOCK, Entry(EventType.ZONE_SERIALS_MOVED, facts), now)
    return True

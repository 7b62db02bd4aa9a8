"""Tables of what was published. A rule is kept as a span of releases for ever: the present, every increment and the
past are one table."""

import datetime as dt

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from app.db import Base, KeyText


class Zone(Base):
    """A published zone. A change of its action starts a new epoch: older serials get a full transfer."""

    __tablename__ = "zones"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(KeyText, unique=True)
    action: Mapped[str] = mapped_column(Text)
    floor: Mapped[int] = mapped_column(BigInteger)
    epoch_release_id: Mapped[int]
    created_at: Mapped[dt.datetime]
    retired_at: Mapped[dt.datetime | None]


class Release(Base):
    """One version of the policy, the same for every zone; a zone gives it its own serial.

    `rules_sum` is what its digest is the SHA-256 of (`app.publication.digest`).
    """

    __tablename__ = "releases"
    __table_args__ = (Index("ix_releases_published_at", "published_at", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    published_at: Mapped[dt.datetime]
    names: Mapped[int]
    rules: Mapped[int]
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    rules_sum: Mapped[bytes] = mapped_column(LargeBinary(504), default=bytes(504))
    events_until: Mapped[int]


class ReleaseAct(Base):
    """What a release was made of: an order that came into force, or (`ends`) left it; or (not `whole`) single names
    of one."""

    __tablename__ = "release_acts"
    __table_args__ = (Index("ix_release_acts_order_id", "order_id"),)

    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"), primary_key=True, autoincrement=False)
    order_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    whole: Mapped[bool] = mapped_column(primary_key=True)
    ends: Mapped[bool]


class ZoneSerial(Base):
    """Which serial a zone gave to a release. A zone that did not change from release to release still moves on."""

    __tablename__ = "zone_serials"
    __table_args__ = (Index("uq_zone_serials_zone_id_serial", "zone_id", "serial", unique=True),)

    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"), primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"), primary_key=True)
    serial: Mapped[int] = mapped_column(BigInteger)


class Span:
    """The columns of a table of spans: what stood from one release on, and before another (null: still)."""

    __tablename__: str

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Index | dict[str, bool], ...]:
        ended, head = text("to_release IS NOT NULL"), text("to_release IS NULL")
        name = cls.__tablename__
        return (
            Index(f"ix_{name}_from_release", "from_release"),
            Index(f"ix_{name}_to_release", "to_release", sqlite_where=ended, postgresql_where=ended),
            Index(f"uq_{name}_head", "key", unique=True, sqlite_where=head, postgresql_where=head),
            {"sqlite_with_rowid": False},
        )

    key: Mapped[str] = mapped_column(KeyText, primary_key=True)
    from_release: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    to_release: Mapped[int | None]
    own: Mapped[int] = mapped_column(SmallInteger)
    wild: Mapped[int] = mapped_column(SmallInteger)


class RuleSpan(Span, Base):
    """A rule and the releases in which it stood: from `from_release`, and before `to_release` (null: still).

    A number above the newest release's is that of a release in the making, which nobody has seen.
    """

    __tablename__ = "rule_spans"


class UrgentSpan(Span, Base):
    """The same for what `urgent` zones hold in front of their bases (`resolver_policy.layers`)."""

    __tablename__ = "urgent_spans"


Spans = type[RuleSpan] | type[UrgentSpan]


class BaseRow(Base):
    """A base: a state of the policy that `base` zones hold, asked for, then cut at a release.

    It is live (`urgent` makes up for what changed since) until `dropped_release_id`. `spent_at` is when it was found
    that no server needs it any more, `late_at` when it was written down that servers keep it from that. `dropped_until`
    is the last key of `urgent` that was seen to since; null: none yet.
    """

    __tablename__ = "bases"

    id: Mapped[int] = mapped_column(primary_key=True)
    asked_at: Mapped[dt.datetime]
    reason: Mapped[str] = mapped_column(Text)
    release_id: Mapped[int | None] = mapped_column(ForeignKey("releases.id"), unique=True)
    cut_at: Mapped[dt.datetime | None]
    late_at: Mapped[dt.datetime | None]
    spent_at: Mapped[dt.datetime | None]
    dropped_until: Mapped[str | None] = mapped_column(KeyText)
    dropped_release_id: Mapped[int | None] = mapped_column(ForeignKey("releases.id"))


class Stop(Base):
    """A change of the zone that nothing explains, found before it was published: until two people release it
    (`asked_by_id`, then `released_by_id`), no block is. `findings` is JSON, `app.publication.stops` reads it."""

    __tablename__ = "stops"
    __table_args__ = (
        CheckConstraint(
            "released_by_id IS NULL OR asked_by_id IS NOT NULL AND released_by_id <> asked_by_id", name="four_eyes"
        ),
        CheckConstraint("released_at IS NULL OR released_by_id IS NOT NULL", name="released_by_two"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    stopped_at: Mapped[dt.datetime]
    findings: Mapped[str] = mapped_column(Text)
    asked_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    asked_at: Mapped[dt.datetime | None]
    released_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    released_at: Mapped[dt.datetime | None]


class PublisherLease(Base):
    """Who publishes, under which epoch, and until when by the database's clock; one row (`app.publication.lease`)."""

    __tablename__ = "publisher_lease"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    holder: Mapped[str] = mapped_column(Text)
    epoch: Mapped[int]
    expires_at: Mapped[dt.datetime]

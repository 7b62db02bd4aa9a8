"""What a backup says of itself: what it was made of, and what a check of it has to find again."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Self

from sqlalchemy import func, inspect, literal, select, table, union_all
from sqlalchemy.orm import Session

from app import schema
from app.errors import Refused
from app.journal import tree
from app.journal.models import LogKey
from app.publication.models import Zone, ZoneSerial

FORMAT = 1

Progress = Callable[[float], None]
"""Told which share of the work is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`size` and `root` (hex) are the journal's; `rows` counts each table; `sha256` and `octets` are of the copy."""

    format: int
    made_at: str
    program: str
    database: str
    schema: str
    log: str | None
    size: int
    root: str
    checkpoint: str | None
    serials: dict[str, int]
    rows: dict[str, int]
    sha256: str
    octets: int

    def dump(self) -> bytes:
        """As it lies in the file."""
        return (json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def load(cls, octets: bytes) -> Self:
        """Raises Refused for what is no manifest that this program reads."""
        try:
            found = json.loads(octets)
            if found["format"] != FORMAT:
                raise Refused(f"the backup is of format {found['format']}; this program reads format {FORMAT}")
            return cls(**found)
        except (ValueError, KeyError, TypeError) as error:
            raise Refused("the manifest in the backup cannot be read") from error


def describe(session: Session, made_at: str, checkpoint: str | None = None) -> Manifest:
    """What a database holds; `sha256` and `octets` are those of its copy, and not known here."""
    size = tree.size(session)
    return Manifest(
        format=FORMAT,
        made_at=made_at,
        program=version("pulih"),
        database=session.connection().dialect.name,
        schema=schema.version(session.connection()) or "",
        log=session.scalar(select(LogKey.name).order_by(LogKey.seq.desc()).limit(1)),
        size=size,
        root=tree.root(session, size).hex(),
        checkpoint=checkpoint,
        serials=_serials(session),
        rows=count_rows(session),
        sha256="",
        octets=0,
    )


def _serials(session: Session) -> dict[str, int]:
    """The last serial of each zone, read so that tables of an older version will do as well."""
    query = select(Zone.name, func.coalesce(func.max(ZoneSerial.serial), 0)).outerjoin(ZoneSerial)
    query = query.where(Zone.retired_at.is_(None)).group_by(Zone.name).order_by(Zone.name)
    return {row[0]: row[1] for row in session.execute(query)}


def count_rows(session: Session) -> dict[str, int]:
    """How many rows each table has."""
    names = sorted(inspect(session.connection()).get_table_names())
    counts = union_all(*(select(literal(name), func.count()).select_from(table(name)) for name in names))
    return dict(sorted((name, count) for name, count in session.execute(counts)))

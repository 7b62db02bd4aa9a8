"""Tables of the rank file: who brought it, and its names."""

import datetime as dt

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, KeyText


class RankFile(Base):
    """A list of popular names that somebody imported. The one whose `replaced_at` is null counts; names of the others
    are gone, who brought them and their digest stay. `live` is false while the names are being stored."""

    __tablename__ = "rank_files"
    __table_args__ = (
        Index(
            "uq_rank_files_current",
            "live",
            unique=True,
            sqlite_where=text("live AND replaced_at IS NULL"),
            postgresql_where=text("live AND replaced_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    imported_at: Mapped[dt.datetime]
    imported_by_id: Mapped[int] = mapped_column(ForeignKey("principals.id"))
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    count: Mapped[int]
    live: Mapped[bool]
    replaced_at: Mapped[dt.datetime | None]


class RankedName(Base):
    """A name of a rank file and its rank, the most popular being 1."""

    __tablename__ = "ranked_names"
    __table_args__ = (Index("ix_ranked_names_file_id_rank", "file_id", "rank"), {"sqlite_with_rowid": False})

    file_id: Mapped[int] = mapped_column(ForeignKey("rank_files.id"), primary_key=True)
    key: Mapped[str] = mapped_column(KeyText, primary_key=True)
    rank: Mapped[int] = mapped_column()

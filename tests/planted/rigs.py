"""Bugs of whoever writes: what the kill loop, the power cut and the faults of single steps must find."""

from collections.abc import Callable, Mapping
from typing import Any

import pysqlite3

from app import sqlite
from tests.planted import replace

Method = Callable[..., Any]


def synchronous_normal() -> None:
    """A commit is told before it is durable."""

    def careless(prepare: Method) -> Method:
        def prepared(connection: pysqlite3.dbapi2.Connection, record: object) -> None:
            prepare(connection, record)
            connection.execute("PRAGMA synchronous=NORMAL")

        return prepared

    replace(sqlite, "_prepare_connection", careless)


PLANTS: Mapping[str, Callable[[], None]] = {
    "synchronous-normal": synchronous_normal,
}

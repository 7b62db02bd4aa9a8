"""A migrated database, a key file, and a settled moment for each test of this room."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import migrate
from app.db import Database
from app.settings import Settings
from app.subscribers import seal
from app.subscribers.seal import SecretKey


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, dns_listen="127.0.0.1:5300")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database)
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def now() -> dt.datetime:
    return dt.datetime(2026, 11, 22, 3, 0, tzinfo=dt.UTC)


@pytest.fixture
def secret_key(settings: Settings) -> SecretKey:
    return seal.make(settings.secret_key_path)

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
from tests import databases
from tests.service import settings_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path, dns_listen="127.0.0.1:5300")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a database with nothing in it, to be copied."""
    url = databases.url_in(tmp_path_factory.mktemp("migrated"))
    databases.make(url)
    database = Database(url)
    migrate.upgrade(database)
    database.close()
    return url


@pytest.fixture
def database(settings: Settings, migrated: str) -> Iterator[Database]:
    databases.make(settings.database, migrated)
    database = Database(settings.database)
    yield database
    database.close()
    databases.drop(settings.database)


@pytest.fixture
def now() -> dt.datetime:
    return dt.datetime(2026, 11, 22, 3, 0, tzinfo=dt.UTC)


@pytest.fixture
def secret_key(settings: Settings) -> SecretKey:
    return seal.make(settings.secret_key_path)

"""How every test runs: generated cases have no deadline (cores are shared); on CI they are always the same."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from app.auth.rates import Rates
from app.db import Database
from app.main import create_app, make_publisher
from app.orders import emergency
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.settings import Settings
from tests import databases
from tests.publication.worlds import World
from tests.service import FrozenClock, Service, Template, copy_of, make_started, make_template, serving, settings_in

hypothesis_settings.register_profile(
    "default",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.register_profile(
    "soak", hypothesis_settings.get_profile("default"), derandomize=False, max_examples=1000
)
hypothesis_settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What has a database below it is run on each kind: `PULIH_TEST_DATABASE=postgresql pytest -m database`.

    Tests of resolvers are about resolvers, and run once; those that say `database` themselves run on each. Groups that
    stay together on one worker come first: a long one at the end would keep all others waiting. Those of resolvers are
    long as well.
    """
    for item in items:
        if item.path.parent.name == "resolvers":
            item.add_marker("long")
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    functions = [item for item in items if isinstance(item, pytest.Function) and item.path.parent.name != "resolvers"]
    for item in functions:
        if {"database", "template", "empty"} & {*item.fixturenames}:
            item.add_marker("database")


class Application(NamedTuple):
    """The one application of a test session, and where it listens; each test puts its own database into it."""

    app: FastAPI
    address: str


@pytest.fixture(scope="session", autouse=True)
def database_server() -> Iterator[None]:
    """The server that this session's databases need, if they need one."""
    with databases.server(), databases.compiled_once():
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def started(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Template:
    return make_started(template, tmp_path_factory.mktemp("started"))


@pytest.fixture(scope="session")
def application(template: Template) -> Iterator[Application]:
    database = Database(template.url)
    app = create_app(Settings(), database, with_publisher=False)
    database.close()
    with serving(app) as address:
        yield Application(app, address)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def database(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Database]:
    """A migrated database in `tmp_path`, with people and tokens in it; nothing else, unless a service begins on it."""
    origin = "started" if "service" in request.fixturenames else "template"
    database = copy_of(request.getfixturevalue(origin), settings)
    yield database
    database.close()
    databases.drop(settings.database)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def service(
    application: Application, template: Template, settings: Settings, database: Database, clock: FrozenClock
) -> Iterator[Service]:
    """The service over HTTP, on this test's own database; what is due is done when a test says `publish`."""
    with installed(application, template, settings, database, clock) as service:
        yield service


@contextmanager
def installed(
    application: Application, template: Template, settings: Settings, database: Database, clock: FrozenClock
) -> Iterator[Service]:
    """The service over HTTP on a database."""
    state = application.app.state
    state.settings, state.database, state.clock = settings, database, clock
    state.idempotency_in_flight = set()
    state.rates = Rates(settings.rates, time.monotonic, state.process.limited)
    service = Service(application.address, settings, database, clock, template.tokens)
    try:
        yield service
    finally:
        service.close()


@pytest.fixture
def world(database: Database, settings: Settings, clock: FrozenClock, template: Template) -> Iterator[World]:
    """Orders on a database with a publisher: nothing but the first, empty release."""
    world = World(database, make_publisher(settings, database), clock, template, settings)
    world.publisher.start(clock())
    yield world
    world.publisher.close()


@pytest.fixture
def follower(settings: Settings, database: Database) -> Follower:
    """What a transfer process holds of the zones."""
    return Follower(settings, Marks(settings.data_dir / "marks", "transfer"), database.read)


@pytest.fixture
def many_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """One person may issue the emergency orders of any number of histories."""
    monkeypatch.setattr(emergency, "NAMES_A_PERSON", 1_000_000)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests counted and measured (`record_property`), also where they ran in other processes."""
    measured = [report for report in terminalreporter.getreports("passed") if report.user_properties]
    if measured:
        terminalreporter.section("counted and measured")
    for report in measured:
        values = ", ".join(
            f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
            for name, value in report.user_properties
        )
        terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {values}")

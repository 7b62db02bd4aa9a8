"""The sample cases: loaded into a test's own database, or a copy of one in which they lie, published."""

from collections.abc import Callable, Iterator

import pytest

from app.db import Database
from app.main import make_publisher
from app.orders import guarding, sample
from app.orders.sample import Stage
from app.settings import Settings
from app.subscribers import sample as isps
from tests import databases
from tests.conftest import Application, installed
from tests.service import HOST, NOW, ZONE, FrozenClock, Service, Template, copy_of, settings_in

Load = Callable[..., int]


def load_into(database: Database, settings: Settings, until: Stage, codes: tuple[str, ...]) -> int:
    """Load cases up to a stage, as the command does."""
    guard, cases = guarding.load(settings.zone_settings), [sample.read(code) for code in codes]
    with database.write() as session:
        return sample.load(session, HOST, cases, until, NOW, guard=guard, acts=isps.acts([ZONE]))


@pytest.fixture
def load(database: Database, settings: Settings) -> Load:
    """Load a case up to a stage."""
    return lambda until, *codes: load_into(database, settings, until, codes or ("telegram-2017",))


def published(template: Template, factory: pytest.TempPathFactory, *codes: str) -> Template:
    """A database with whole cases in it, published, to be copied for each test."""
    settings = settings_in(factory.mktemp("cases"))
    database = copy_of(template, settings)
    load_into(database, settings, Stage.LIFTED, codes)
    publisher = make_publisher(settings, database)
    publisher.start(NOW)
    publisher.publish(NOW)
    database.close()
    return Template(settings.database, template.tokens)


@pytest.fixture(scope="session")
def lifted_template(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Template:
    return published(template, tmp_path_factory, "telegram-2017")


@pytest.fixture(scope="session")
def both_template(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Template:
    return published(template, tmp_path_factory, "telegram-2017", "ways-out")


@pytest.fixture
def lifted(
    application: Application, lifted_template: Template, settings: Settings, clock: FrozenClock
) -> Iterator[Service]:
    """The service with the whole Telegram case in it, and published."""
    yield from served(application, lifted_template, settings, clock)


@pytest.fixture
def both(
    application: Application, both_template: Template, settings: Settings, clock: FrozenClock
) -> Iterator[Service]:
    """The service with both cases side by side, and published."""
    yield from served(application, both_template, settings, clock)


def served(application: Application, template: Template, settings: Settings, clock: FrozenClock) -> Iterator[Service]:
    """The service on a copy of a database."""
    database = copy_of(template, settings)
    with installed(application, template, settings, database, clock) as service:
        yield service
    database.close()
    databases.drop(settings.database)

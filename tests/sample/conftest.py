"""The sample case, loaded into a test's own database."""

from collections.abc import Callable

import pytest

from app.db import Database
from app.orders import guarding, sample
from app.orders.sample import Stage
from app.settings import Settings
from app.subscribers import sample as isps
from tests.service import HOST, NOW, ZONE, Service

Load = Callable[[Stage], int]


@pytest.fixture
def load(database: Database, settings: Settings) -> Load:
    """Load the case up to a stage, as the command does."""

    def load(until: Stage) -> int:
        guard = guarding.load(settings.zone_settings)
        with database.write() as session:
            return sample.load(
                session, HOST, sample.read("telegram-2017"), until, NOW, guard=guard, acts=isps.acts([ZONE])
            )

    return load


@pytest.fixture
def lifted(service: Service, load: Load) -> Service:
    """The service with the whole case in it, and published."""
    load(Stage.LIFTED)
    service.publish()
    return service

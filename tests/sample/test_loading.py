"""`pulih sample`: into a database without orders, as far as one says, all or nothing."""

import datetime as dt
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from app.auth.models import Principal
from app.cli import main
from app.db import Database
from app.errors import Conflict
from app.main import make_publisher
from app.orders import queries
from app.orders.models import Order
from app.orders.sample import Stage
from app.settings import Settings
from app.subscribers import register
from app.subscribers.register import AddSubscriber
from tests import databases
from tests.sample.conftest import Load
from tests.sample.telegram import NAMES
from tests.service import HOST, NOW, Service, environment_of, settings_in


def pulih(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment_of(settings))


def test_the_command_loads_the_whole_case_and_says_so(database: Database, settings: Settings) -> None:
    done = pulih(settings, "sample", "telegram-2017")
    assert (done.exit_code, done.output) == (
        0,
        "The sample case telegram-2017 is loaded up to lifted: 44 acts, each at the moment it had.\n",
    )
    with database.read() as session:
        assert queries.holds_sample(session)


def test_a_database_that_holds_an_order_is_refused(service: Service, settings: Settings) -> None:
    service.propose()
    before = service.rows()
    done = pulih(settings, "sample", "telegram-2017")
    assert done.exit_code == 1
    assert "this database holds orders" in done.output
    assert service.rows() == before


def test_loading_it_twice_is_refused(database: Database, settings: Settings) -> None:
    pulih(settings, "sample", "telegram-2017")
    assert pulih(settings, "sample", "telegram-2017").exit_code == 1
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Order)) == 2


def test_with_if_empty_a_database_that_holds_an_order_is_left_alone(service: Service, settings: Settings) -> None:
    service.propose()
    before = service.rows()
    done = pulih(settings, "sample", "telegram-2017", "--if-empty")
    assert (done.exit_code, done.output) == (0, "The database holds orders: it is left alone.\n")
    assert service.rows() == before


def test_with_if_empty_an_empty_database_is_loaded(database: Database, settings: Settings) -> None:
    assert pulih(settings, "sample", "telegram-2017", "--if-empty").exit_code == 0
    with database.read() as session:
        assert queries.holds_sample(session)


@pytest.mark.parametrize("arguments", [("sample", "another"), ("sample", "telegram-2017", "--until", "never")])
def test_an_unknown_case_or_stage_is_a_usage_error(settings: Settings, arguments: tuple[str, ...]) -> None:
    assert pulih(settings, *arguments).exit_code == 2


@pytest.mark.parametrize("until", [Stage.BLOCKED, Stage.SOLUTION_INDICATED])
def test_before_the_lift_the_zone_has_the_eleven_names_and_nothing_else(
    service: Service, load: Load, until: Stage
) -> None:
    load(until)
    assert sorted(service.zone()) == sorted(f"{name} ." for name in NAMES)


def test_after_the_lift_the_zone_is_empty(service: Service, load: Load) -> None:
    load(Stage.LIFTED)
    assert service.zone() == []


def test_a_publisher_that_first_starts_on_the_loaded_case_publishes_an_empty_zone(
    database: Database, settings: Settings, load: Load
) -> None:
    load(Stage.LIFTED)
    publisher = make_publisher(settings, database)
    publisher.start(NOW)
    assert publisher.publish(NOW) == {}


def test_a_case_that_stands_blocked_is_lifted_like_any_order(service: Service, load: Load) -> None:
    load(Stage.BLOCKED)
    service.publish()
    (order,) = service.read("orders")["items"]
    service.lift(order)
    assert service.zone() == []


def test_until_blocked_knows_nothing_of_august(service: Service, load: Load) -> None:
    load(Stage.BLOCKED)
    (order,) = service.read("orders")["items"]
    assert (order["state"], order["lift_planned"]) == ("active", None)
    items = service.read("audit/events?type=sample.noted&limit=500")["items"]
    assert max(item["recorded_at"] for item in items) < "2017-07-20"


def test_who_loaded_it_and_when_is_recorded_with_the_present_time(service: Service, load: Load) -> None:
    count = load(Stage.LIFTED)
    (event,) = service.read("audit/events?type=sample.loaded")["items"]
    assert event["actor"]["name"] == "host:root"
    assert event["recorded_at"] == "2026-11-22T03:00:00.000000Z"
    assert (event["facts"]["case"], event["facts"]["until"], event["facts"]["acts"]) == (
        "telegram-2017",
        "lifted",
        count,
    )


def test_beside_a_subscriber_outside_this_machine_it_is_refused(database: Database, settings: Settings) -> None:
    with database.write() as session:
        register.add(session, HOST, AddSubscriber("isp-one", ("192.0.2.0/24",)), NOW)
    done = pulih(settings, "sample", "telegram-2017")
    assert done.exit_code == 1
    assert "isp-one is a subscriber outside this machine" in done.output


def test_once_it_is_loaded_a_subscriber_outside_this_machine_is_refused(database: Database, load: Load) -> None:
    load(Stage.BLOCKED)
    with database.write() as session, pytest.raises(Conflict, match="holds the sample"):
        register.add(session, HOST, AddSubscriber("isp-one", ("192.0.2.0/24",)), NOW)


def test_any_loopback_range_is_left_for_subscribers_to_try_with(database: Database, load: Load) -> None:
    load(Stage.BLOCKED)
    with database.write() as session:
        register.add(session, HOST, AddSubscriber("isp-one", ("127.0.0.0/8",)), NOW)


def test_a_subscriber_of_the_same_name_is_not_overwritten(database: Database, load: Load) -> None:
    with database.write() as session:
        register.add(session, HOST, AddSubscriber("isp-illustrative-one", ("127.0.0.1/32",)), NOW)
    with pytest.raises(Conflict, match="there is a subscriber isp-illustrative-one already"):
        load(Stage.BLOCKED)


def test_a_principal_of_the_same_name_and_another_role_is_not_used(database: Database, load: Load) -> None:
    with database.write() as session:
        session.add(Principal(name="sample-approver", role="operator", created_at=NOW))
    with pytest.raises(Conflict, match="needs sample-approver to be approver"):
        load(Stage.BLOCKED)


def test_a_database_that_is_not_there_yet_is_named(tmp_path: Path) -> None:
    nowhere = settings_in(tmp_path / "none")
    if databases.KIND == "postgresql":
        databases.make(nowhere.database)
    done = pulih(nowhere, "sample", "telegram-2017")
    assert done.exit_code == 1
    assert "pulih upgrade" in done.output


def test_a_moment_is_replayed_in_utc(service: Service, load: Load) -> None:
    load(Stage.BLOCKED)
    (order,) = service.read("orders")["items"]
    assert order["decided_at"] == "2017-07-14T04:30:00Z"
    assert dt.datetime.fromisoformat(order["review_due_at"]) == dt.datetime(2017, 10, 13, 17, tzinfo=dt.UTC)

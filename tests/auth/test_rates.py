"""Limits on requests: what they hold up, what they never do, and how much they remember."""

import tracemalloc
from dataclasses import dataclass, field

import httpx
import pytest

from app.auth import rates
from app.auth.rates import Meter, Rates, site
from app.errors import RateLimited
from app.settings import RateSetting
from tests.conftest import Application
from tests.policy.scale import Record, scaled, tell
from tests.problem_documents import check_shape
from tests.service import Service, an_order, condition

ADDRESSES = 100_000
"""Addresses that come by, times PULIH_TEST_SCALE: ten makes it a million."""

LITTLE_MEMORY = 32 * 1024 * 1024


@dataclass
class Stopwatch:
    """Seconds that go by when a test says so, and the limits that refused meanwhile."""

    seconds: float = 1_000.0
    refused: list[str] = field(default_factory=list)

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch(service: Service, application: Application) -> Stopwatch:
    """The service with ten requests a minute of a token, six without, three by bad ones."""
    watch = Stopwatch()
    application.app.state.rates = Rates(RateSetting(10, 6, 3), watch, watch.refused.append)
    assert service
    return watch


def asked(service: Service, by: str | None, times: int, path: str = "categories") -> list[int]:
    return [service.get(path, by=by).status_code for _ in range(times)]


def bad(service: Service, header: str = "Bearer pulih_nonsense", path: str = "categories") -> httpx.Response:
    return service.request("GET", path, by=None, headers={"Authorization": header})


def test_so_many_at_once_and_as_many_again_in_the_minute_after() -> None:
    meter = Meter(600)
    assert [meter.take("a", 0.0) for _ in range(601)] == [0] * 600 + [1]
    assert [meter.take("a", 60.0) for _ in range(601)] == [0] * 600 + [1]
    assert [meter.take("a", 90.0) for _ in range(301)] == [0] * 300 + [1]


def test_a_refusal_says_when_the_next_is_taken_and_costs_nothing() -> None:
    meter = Meter(2)
    assert [meter.take("a", 0.0) for _ in range(9)] == [0, 0] + [30] * 7
    assert meter.take("a", 29.0) == 1
    assert meter.take("a", 30.0) == 0


def test_nobody_is_held_up_by_another() -> None:
    meter = Meter(1)
    assert [meter.take("a", 0.0) for _ in range(9)] == [0] + [60] * 8
    assert meter.take("b", 0.0) == 0


def test_no_limit_is_no_limit_and_remembers_nobody() -> None:
    meter = Meter(0)
    assert [meter.take("a", 0.0) for _ in range(1_000)] == [0] * 1_000
    assert len(meter) == 0


def test_a_crowd_of_addresses_is_forgotten_and_whoever_keeps_trying_is_not(record_property: Record) -> None:
    """However many come by, memory is bounded, each is let in, and the one that is over its limit stays so."""
    meter, crowd = Meter(1), scaled(ADDRESSES)
    tracemalloc.start()
    assert meter.take("loud", 0.0) == 0
    for number in range(crowd):
        assert meter.take(number, 0.0) == 0
        if number % 1_000 == 0:
            assert meter.take("loud", 0.0) == 60
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(meter) == min(rates.MOST_KEPT, crowd + 1)
    assert most < LITTLE_MEMORY
    tell(record_property, addresses=crowd, most_octets=most)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("unix:", "nowhere"),
        (None, "nowhere"),
    ],
)
def test_one_site_is_one_client(address: str | None, client: str) -> None:
    assert site(address) == client


def test_without_a_token_an_address_is_limited_until_it_has_waited(service: Service, watch: Stopwatch) -> None:
    assert asked(service, None, 6) == [200] * 6
    refused = service.get("categories", by=None)

    body = check_shape(refused)
    assert (body["code"], refused.headers["Retry-After"]) == ("rate_limited", "10")
    assert body["detail"] == "more than 6 requests a minute without a token from 127.0.0.1"
    watch.seconds += 10
    assert asked(service, None, 2) == [200, 429]


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/docs", "/api/static/nonsense", "/nonsense", "orders"])
def test_no_path_is_another_count(service: Service, watch: Stopwatch, path: str) -> None:
    asked(service, None, 6)

    assert asked(service, None, 1, path) == [429]
    assert watch.refused == ["address"]


def test_no_parameter_and_no_header_of_the_clients_own_is_another_count(service: Service, watch: Stopwatch) -> None:
    asked(service, None, 6)
    mine = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1", "X-Real-IP": "192.0.2.1", "User-Agent": "x"}

    for name, value in mine.items():
        assert service.request("GET", f"categories?{name}=1", by=None, headers={name: value}).status_code == 429
    assert len(watch.refused) == len(mine)


def test_who_watches_over_the_process_is_always_answered(service: Service, watch: Stopwatch) -> None:
    asked(service, None, 9)

    assert asked(service, None, 9, "/healthz") == asked(service, None, 9, "/readyz") == [200] * 9
    assert watch.refused == ["address"] * 3


def test_a_token_is_limited_and_no_other_token_is(service: Service, watch: Stopwatch) -> None:
    assert asked(service, "operator-1", 11, "orders") == [200] * 10 + [429]
    assert watch.refused == ["token"]
    assert asked(service, "operator-2", 1, "orders") == [200]
    assert asked(service, None, 1) == [200]

    refused = service.get("orders", by="operator-1")
    assert check_shape(refused)["detail"] == "more than 10 requests a minute by this token"
    watch.seconds += float(refused.headers["Retry-After"])
    assert asked(service, "operator-1", 1, "orders") == [200]


def test_replays_under_an_idempotency_key_count(service: Service, watch: Stopwatch) -> None:
    """They are answered before the route is reached, and all the same."""
    body = an_order()
    statuses = [service.post("orders", body, by="operator-1", Idempotency_Key="k").status_code for _ in range(11)]

    assert statuses == [201] * 10 + [429]
    assert watch.refused == ["token"]


def test_no_lift_is_ever_held_up(service: Service, watch: Stopwatch) -> None:
    """Whoever reads too much still lifts, suspends, waives and verifies, as often as there is need."""
    orders = [service.block(f"x{number}.example") for number in range(6)]
    watch.seconds += 60
    assert asked(service, "approver-1", 12, "orders")[-1] == 429

    for order in orders[:4]:
        service.lift(order)
    service.act(orders[4], "suspend", {"reason": "x", "until": "2026-12-01T00:00:00Z"})
    service.mark(condition(orders[5]), "waive", by="approver-1", reason="x", authority="y")
    assert asked(service, "approver-1", 1, "orders") == [429]
    assert service.zone() == []


def test_bad_tokens_are_limited_by_address_and_lock_nobody_out(service: Service, watch: Stopwatch) -> None:
    answers = [bad(service) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429]
    assert (
        check_shape(answers[-1])["detail"]
        == "more than 3 requests a minute by tokens that are not valid from 127.0.0.1"
    )
    assert watch.refused == ["failed"]

    assert asked(service, "operator-1", 10, "orders") == [200] * 10
    assert asked(service, None, 6) == [200] * 6
    watch.seconds += 20
    assert [bad(service).status_code, bad(service).status_code] == [401, 429]


def test_a_header_that_is_no_bearer_token_is_a_failure_too(service: Service, watch: Stopwatch) -> None:
    """Else it would be a way round the limit of an address."""
    for header in ("Basic eDp5", "Bearer", "x"):
        assert bad(service, header).status_code == 401

    assert bad(service, "Digest x").status_code == 429
    assert watch.refused == ["failed"]


def test_what_is_refused_is_counted(service: Service, application: Application) -> None:
    state = application.app.state
    state.rates = Rates(RateSetting(0, 1, 1), Stopwatch(), state.process.limited)
    asked(service, None, 3)
    bad(service)
    bad(service)

    told = service.get("/metrics").text
    for limit, least in (("address", 2), ("failed", 1)):
        line = next(
            line for line in told.splitlines() if line.startswith(f'pulih_http_limited_total{{limit="{limit}"}}')
        )
        assert float(line.split()[1]) >= least


def test_a_refusal_is_an_error_with_its_wait() -> None:
    limits = Rates(RateSetting(1, 1, 1), Stopwatch(), lambda _limit: None)
    limits.of_token(7)
    with pytest.raises(RateLimited) as refused:
        limits.of_token(7)

    assert refused.value.headers == {"Retry-After": "60"}

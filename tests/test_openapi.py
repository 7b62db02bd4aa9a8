"""The description of the interface, its page, and what says whether the service lives."""

import re

import httpx
import pytest

from app.db import Database
from app.publication import zones
from app.settings import Settings
from resolver_policy import formats
from tests.service import FrozenClock, Json, Service, running


@pytest.fixture
def described(service: Service) -> Json:
    return service.read("/api/openapi.json", by=None)


def operations(described: Json) -> list[Json]:
    return [operation for path in described["paths"].values() for operation in path.values()]


def test_every_route_is_described_once(described: Json) -> None:
    ids = [operation["operationId"] for operation in operations(described)]

    assert len(ids) == len(set(ids))
    assert len(ids) > 25


def test_every_operation_says_what_it_is_for(described: Json) -> None:
    assert [operation["operationId"] for operation in operations(described) if not operation.get("summary")] == []
    assert [operation["operationId"] for operation in operations(described) if not operation.get("tags")] == []


def test_every_act_on_an_order_or_a_condition_names_the_version_header(described: Json) -> None:
    acts = {
        path: operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if method == "post" and re.fullmatch(r"/api/v1/(orders|conditions)/\{uid\}/(?!plan$).+", path)
    }
    assert len(acts) >= 9
    for path, operation in acts.items():
        assert "if-match" in [parameter["name"].lower() for parameter in operation["parameters"]], path


def test_a_method_that_a_path_does_not_answer_names_all_that_it_does(service: Service, described: Json) -> None:
    for path, methods in described["paths"].items():
        answer = service.request("DELETE", path.replace("{serial}", "7").replace("{", "").replace("}", ""), by=None)

        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) - {"HEAD"} == {method.upper() for method in methods}, path


def test_whoever_chooses_a_format_is_told_what_it_cannot_say(described: Json) -> None:
    (operation,) = (each for each in operations(described) if each["summary"] == "The zone as a file")
    (told,) = (each["description"] for each in operation["parameters"] if each["name"] == "format_")
    for chosen in formats.FORMATS:
        assert f"- `{chosen.name}`: {chosen.limits}" in told


def test_the_description_names_the_product(described: Json) -> None:
    assert described["info"]["title"] == "Pulih"


def test_the_page_loads_everything_from_the_service_itself(service: Service) -> None:
    page = service.get("/api/docs", by=None)

    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "http://" not in page.text
    assert "https://" not in page.text
    sources = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert [source for source in sources if not source.startswith("data:")]
    for source in sources:
        if not source.startswith("data:"):
            assert service.get(source, by=None).status_code == 200, source


def test_the_process_says_that_it_lives(service: Service) -> None:
    answer = service.get("/healthz", by=None)

    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_the_service_is_ready_once_something_is_published(service: Service) -> None:
    assert service.get("/readyz", by=None).text == "ok\n"


def test_the_service_is_not_ready_before_anything_is_published(settings: Settings, database: Database) -> None:
    with database.read() as session:
        assert zones.head(session) is None
    with running(settings, database, FrozenClock()) as address:
        answer = httpx.get(f"{address}/readyz")

    assert (answer.status_code, answer.text) == (503, "nothing has been published yet\n")

"""What `/metrics` says, and whether it is what happened."""

import datetime as dt
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.metrics.figures import quantile
from app.metrics.registry import Process
from app.subscribers import deliveries, pulse
from app.subscribers.pulse import Pulse
from app.subscribers.sighting import Sighting, SightingKind
from tests.servers import find
from tests.service import HOUR, NOW, ZONE, Service
from tests.subscribers.worlds import registered

ALERTS = Path(__file__).parents[2] / "docs" / "alerts.yml"
SECOND = dt.timedelta(seconds=1)


def told(service: Service) -> Iterator[tuple[str, Mapping[str, str], float]]:
    answer = service.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def value(service: Service, name: str, **labels: str) -> float | None:
    """The one sample of this name that has these labels; None where there is none."""
    found = [each for called, has, each in told(service) if called == name and labels.items() <= has.items()]
    assert len(found) < 2
    return found[0] if found else None


def seen(service: Service, *sightings: Sighting) -> None:
    with service.database.write() as session:
        deliveries.record(session, sightings, service.clock())


def asked(kind: SightingKind, *, octets: int = 0, outcome: str = "done", serial: int | None = None) -> Sighting:
    return Sighting(NOW, "isp-one", "192.0.2.53", ZONE, kind, serial, serial, octets, outcome)


@pytest.fixture
def served(service: Service) -> Service:
    """With one ISP that is known by its address."""
    registered(service.database, "isp-one", "192.0.2.0/24", now=NOW)
    return service


def test_orders_are_counted_by_state_and_the_zone_is_told(service: Service) -> None:
    service.propose()
    held = service.block("one.example", "two.example")
    service.publish()
    assert value(service, "pulih_orders", kind="block", state="proposed") == 1
    assert value(service, "pulih_blocks", kind="block", state="active") == 2
    assert value(service, "pulih_names") == 2
    assert value(service, "pulih_zone_serial", zone=ZONE) == service.read(f"zones/{ZONE}")["serial"]
    assert value(service, "pulih_zone_published_timestamp_seconds", zone=ZONE) == NOW.timestamp()

    service.lift(held)
    service.publish()
    assert value(service, "pulih_blocks", kind="block", state="ended") == 2
    assert value(service, "pulih_blocks", kind="block", state="active") is None
    assert value(service, "pulih_names") == 0


def test_a_change_that_waits_is_seen_to_wait(service: Service) -> None:
    assert value(service, "pulih_unpublished_seconds") == 0
    service.block("one.example")
    service.clock.forward(90 * SECOND)
    assert value(service, "pulih_unpublished_seconds") == 90
    service.publish()
    assert value(service, "pulih_unpublished_seconds") == 0


def test_how_long_a_lift_took_until_it_was_published(service: Service) -> None:
    for order in [service.block("one.example"), service.block("two.example")]:
        service.publish()
        service.clock.forward(SECOND)
        service.lift(order)
        service.clock.forward(3 * SECOND)
    service.publish()

    assert value(service, "pulih_lifts_last_hour") == 2
    assert value(service, "pulih_lift_publication_seconds", quantile="0.5") == 3
    assert value(service, "pulih_lift_publication_seconds", quantile="1.0") == 3
    service.clock.forward(2 * HOUR)
    assert value(service, "pulih_lifts_last_hour") == 0
    assert value(service, "pulih_lift_publication_seconds", quantile="1.0") is None


def test_quantiles_are_values_that_occurred() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0.25, 0.5, 0.51, 0.99, 1.0)] == [1, 2, 3, 4, 4]
    assert quantile([7], 0.01) == 7


def test_what_an_isp_lacks_and_what_it_did(served: Service) -> None:
    first = served.read(f"zones/{ZONE}")["serial"]
    seen(served, asked(SightingKind.AXFR, octets=100, serial=first), asked(SightingKind.SOA, serial=first))
    served.block("one.example")
    served.clock.forward(SECOND)
    served.publish()
    served.clock.forward(25 * HOUR)
    seen(
        served,
        asked(SightingKind.IXFR, octets=50, outcome="broken off before the end", serial=first),
        asked(SightingKind.REFUSED, outcome="key: unknown"),
    )

    isp = {"subscriber": "isp-one", "zone": ZONE}
    assert value(served, "pulih_subscriber_serial", **isp) == first
    assert value(served, "pulih_subscriber_lag_serials", **isp) == 1
    assert value(served, "pulih_subscriber_lag_seconds", **isp) == (25 * HOUR).total_seconds()
    assert value(served, "pulih_subscriber_overdue", **isp) == 1
    assert value(served, "pulih_exchanges_total", kind="axfr", result="done", **isp) == 1
    assert value(served, "pulih_exchanges_total", kind="ixfr", result="failed", **isp) == 1
    assert value(served, "pulih_exchanges_total", kind="refused", result="refused", **isp) == 1
    assert value(served, "pulih_sent_octets_total", kind="axfr", result="done", **isp) == 100


def test_transfer_processes_are_told_until_they_are_forgotten(service: Service) -> None:
    assert value(service, "pulih_transfer_up") is None
    with service.database.write() as session:
        pulse.tell(session, "ns1:7", Pulse(connections=3, late=0.25), NOW)
    assert value(service, "pulih_transfer_up", process="ns1:7") == 1
    assert value(service, "pulih_transfer_connections", process="ns1:7") == 3
    assert value(service, "pulih_transfer_loop_late_seconds", process="ns1:7") == 0.25
    assert service.get("/readyz", by=None).text == "ok\n"

    service.clock.forward(60 * SECOND)
    assert value(service, "pulih_transfer_up", process="ns1:7") == 0
    assert service.get("/readyz", by=None).status_code == 503
    assert "heard of for 60 s" in service.get("/readyz", by=None).text

    with service.database.write() as session:
        pulse.tell(session, "ns2:8", Pulse(connections=0, late=0), service.clock.forward(pulse.FORGOTTEN_AFTER))
    assert value(service, "pulih_transfer_up", process="ns1:7") is None
    assert value(service, "pulih_transfer_up", process="ns2:8") == 1
    assert service.get("/readyz", by=None).status_code == 200

    with service.database.write() as session:
        pulse.leave(session, "ns2:8")
    assert value(service, "pulih_transfer_up") is None


def test_requests_are_counted_by_route_and_never_by_what_was_asked_for(service: Service) -> None:
    service.get("names/secret-wish.example")
    service.request("FROBNICATE", "/nowhere", by=None)
    text = service.get("/metrics").text
    assert 'route="/api/v1/names/{name}",status="200"' in text
    assert 'method="other",route="none"' in text
    assert "secret-wish" not in text
    assert "FROBNICATE" not in text


def test_made_up_methods_make_no_series() -> None:
    process = Process()
    for number in range(1_000):
        process.answered(f"M{number}", "none", 405, 0.001)
    assert process.text(()).count(b"pulih_http_request_seconds_count{") == 1


def test_an_isp_is_not_told_about_the_others(service: Service) -> None:
    assert service.get("/metrics", by="isp-1").status_code == 403
    assert service.get("/metrics", by=None).status_code == 401


def test_every_alert_is_about_a_figure_that_there_is(served: Service) -> None:
    served.lift(served.block("one.example"))
    served.publish()
    seen(served, asked(SightingKind.SOA))
    with served.database.write() as session:
        pulse.tell(session, "ns1:7", Pulse(0, 0), NOW)
    gauges = re.findall(r"^# TYPE (\S+) gauge$", served.get("/metrics").text, re.MULTILINE)
    names = {*gauges, *(name for name, _, _ in told(served))}
    expressions = re.findall(r"^ +expr: (.+)$", ALERTS.read_text(), re.MULTILINE)
    assert len(expressions) > 8
    for expression in expressions:
        assert set(re.findall(r"pulih_\w+", expression)) <= names, expression


def test_prometheus_reads_the_alerts_and_the_figures(served: Service) -> None:
    served.lift(served.block("one.example"))
    served.publish()
    promtool = find("promtool", "prometheus")
    figures = served.get("/metrics").text
    for command in (["rules", str(ALERTS)], ["metrics"]):
        told = subprocess.run([promtool, "check", *command], input=figures, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout + told.stderr


def test_what_is_not_there_is_counted_together(service: Service) -> None:
    answer = service.get("/nowhere", by=None)
    assert answer.status_code == 404
    assert value(service, "pulih_http_request_seconds_count", route="none", method="GET", status="404") is not None

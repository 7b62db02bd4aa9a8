"""`/zones/{zone}/changes?since=`: records removed and added since a serial."""

import pytest

from app.main import make_publisher
from app.settings import Settings
from tests.service import NOW, ZONE, Service, problem


def test_what_changed_since_a_serial_is_told_in_records(service: Service) -> None:
    service.block("gone.example")
    before = service.publish()[ZONE]
    service.lift(service.block("passing.example"))
    service.lift(service.read("orders")["items"][0])
    service.block("a.example", "*.b.example")
    now = service.publish()[ZONE]

    assert service.read(f"zones/{ZONE}/changes?since={before}", by="isp-1") == {
        "zone": ZONE,
        "from": before,
        "to": now,
        "removed": [{"owner": "gone.example", "type": "CNAME", "target": "."}],
        "added": [
            {"owner": "a.example", "type": "CNAME", "target": "."},
            {"owner": "b.example", "type": "CNAME", "target": "."},
            {"owner": "*.b.example", "type": "CNAME", "target": "."},
        ],
    }


def test_a_record_that_stays_is_not_told(service: Service) -> None:
    service.block("x.example")
    before = service.publish()[ZONE]
    service.block("*.x.example")
    service.publish()

    changes = service.read(f"zones/{ZONE}/changes?since={before}", by="isp-1")
    assert (changes["removed"], changes["added"]) == ([], [{"owner": "*.x.example", "type": "CNAME", "target": "."}])


def test_a_record_that_changes_is_told_twice(service: Service) -> None:
    service.block("*.x.example", "*.a.x.example")
    exception = service.exception("b.x.example")
    before = service.publish()[ZONE]
    service.block("*.b.x.example")
    service.lift(exception)
    service.block("c.b.x.example")
    service.publish()

    changes = service.read(f"zones/{ZONE}/changes?since={before}", by="isp-1")
    assert changes["removed"] == [
        {"owner": "b.x.example", "type": "CNAME", "target": "rpz-passthru."},
        {"owner": "*.b.x.example", "type": "CNAME", "target": "."},
    ]
    assert changes["added"] == []


def test_nothing_changed_since_the_newest_serial(service: Service) -> None:
    serial = service.read(f"zones/{ZONE}")["serial"]

    changes = service.read(f"zones/{ZONE}/changes?since={serial}", by="isp-1")
    assert changes == {"zone": ZONE, "from": serial, "to": serial, "removed": [], "added": []}


def test_changes_since_every_serial_lead_to_the_same_zone(service: Service) -> None:
    def owners() -> set[tuple[str, str]]:
        return {(line.split()[0], line.split()[1]) for line in service.zone()}

    kept = {service.read(f"zones/{ZONE}")["serial"]: owners()}
    orders = []
    for number in range(6):
        orders.append(service.block(f"n{number}.x.example", f"*.s{number % 3}.example"))
        if number % 2:
            service.lift(orders[number // 2])
        zone = owners()
        kept[service.read(f"zones/{ZONE}")["serial"]] = zone

    for serial, zone in kept.items():
        changes = service.read(f"zones/{ZONE}/changes?since={serial}", by="isp-1")
        removed, added = ({(r["owner"], r["target"]) for r in changes[side]} for side in ("removed", "added"))
        assert removed <= zone
        assert not added & zone
        assert (zone - removed) | added == owners()


@pytest.mark.parametrize("serial", [0, 1, 1795316399, 2**32 - 1])
def test_a_serial_that_the_zone_never_had_is_gone(service: Service, serial: int) -> None:
    answer = problem(service.get(f"zones/{ZONE}/changes?since={serial}", by="isp-1"), 410, "serial_unknown")

    assert str(serial) in answer["detail"]


@pytest.mark.parametrize("query", ["", "?since=", "?since=x", "?since=-1", "?since=4294967296"])
def test_what_is_no_serial_is_refused(service: Service, query: str) -> None:
    problem(service.get(f"zones/{ZONE}/changes{query}", by="isp-1"), 422, "body_invalid")


def test_a_zone_that_is_not_there_is_not_found(service: Service) -> None:
    for path in ("zones/nonsense", "zones/nonsense/changes?since=1", "zones/nonsense/export.rpz"):
        problem(
            service.get(path, by="auditor-1" if "changes" in path or "export" in path else "isp-1"), 404, "not_found"
        )


def test_records_carry_the_action_of_their_zone(service: Service, settings: Settings) -> None:
    both = Settings(data_dir=settings.data_dir, zones="block.rpz=nxdomain,landing.rpz=redirect:landing.example")
    service.publisher = make_publisher(both, service.database)
    service.publisher.start(NOW)
    before = service.read("zones/landing.rpz")["serial"]
    service.block("a.example")
    service.publish()

    changes = service.read(f"zones/landing.rpz/changes?since={before}", by="isp-1")
    assert changes["added"] == [{"owner": "a.example", "type": "CNAME", "target": "landing.example."}]


def test_the_zones_are_listed(service: Service) -> None:
    assert service.read("zones", by="admin-1") == {"items": [service.read(f"zones/{ZONE}")], "next": None}

"""A disk that runs full at any moment: changes get 507, what was published stays, and room is all that is needed."""

from pathlib import Path

import httpx
import pytest
from pysqlite3 import dbapi2
from sqlalchemy.exc import DBAPIError

from app.db import failure
from app.publication.follower import Follower
from app.publication.marks import Marks
from tests import databases
from tests.conftest import Application, installed
from tests.disk import rooms
from tests.disk.rooms import Room
from tests.policy.scale import Record, scaled, tell
from tests.service import ZONE, FrozenClock, Service, Template, an_order, copy_of, problem, settings_in, targets

SIZES, MOST_SIZES = 16, 64
LEAST_ROOM, STEP = 250, 23
"""KiB beside the empty database, and from size to size: never a whole number of pages."""

NAMES = 60
PLENTY = 64 * 1024

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(databases.KIND != "sqlite", reason="a server of PostgreSQL has its own disk"),
]


class Tried:
    """What clients of a service were answered: the names of orders whose approval was, or was not, a success."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.follower = Follower(
            service.settings, Marks(service.settings.data_dir / "marks", "transfer"), service.database.read
        )
        self.approved: set[str] = set()
        self.refused = self.unpublished = 0

    def block(self, number: int) -> bool:
        """Propose, approve and publish; False where something was refused, which must be for want of room."""
        names = [f"n{number}-{each}.example" for each in range(NAMES)]
        proposed = self.service.post("orders", an_order(targets=targets(*names)), by="operator-1")
        if proposed.status_code != 201:
            return self._is_full(proposed)
        path = f"orders/{proposed.json()['id']}/approve"
        approved = self.service.post(path, {"reason": "in order"}, by="approver-1")
        if approved.status_code != 200:
            return self._is_full(approved)
        self.approved.update(names)
        return self.publish()

    def publish(self) -> bool:
        try:
            self.service.publish()
            with self.service.database.read() as session:
                self.follower.refresh(session)
        except (DBAPIError, OSError) as error:
            check_is_full(error)
            self.unpublished += 1
            return False
        return True

    def served(self) -> set[str]:
        return {".".join(reversed(key.split(".")[:-1])) for key, _ in self.follower.zones[ZONE].rules()}

    def _is_full(self, response: httpx.Response) -> bool:
        problem(response, 507, "storage_full")
        self.refused += 1
        return False


def test_a_disk_of_any_size_runs_full_and_heals(
    application: Application, template: Template, tmp_path: Path, record_property: Record
) -> None:
    sizes, refused, unpublished = min(MOST_SIZES, scaled(SIZES)), 0, 0
    empty = Path(str(template.url).removeprefix("sqlite:///")).stat().st_size // 1024
    for step in range(sizes):
        with rooms.memory(tmp_path / f"{step}", empty + LEAST_ROOM + STEP * step) as room:
            tried = fill(application, template, room)
        refused += tried.refused
        unpublished += tried.unpublished
    assert refused + unpublished >= sizes
    tell(record_property, disk_sizes=sizes, refused_for_want_of_room=refused, publications_put_off=unpublished)


def test_a_mark_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    check_mark(tmp_path / "room")


def check_mark(path: Path) -> None:
    with rooms.memory(path, 64) as room:
        marks = Marks(path, "publisher")
        marks.raise_to(ZONE, 1)
        room.fill()
        with pytest.raises(OSError, match="No space left"):
            marks.raise_to(ZONE, 2)
        assert [each.name for each in (path / "publisher").iterdir()] == [ZONE]
        assert marks.own(ZONE) == 1


def fill(application: Application, template: Template, room: Room) -> Tried:
    """Block until there is no room, look at what is left, make room, and go on."""
    settings = settings_in(room.path)
    database = copy_of(template, settings)
    with installed(application, template, settings, database, FrozenClock()) as service:
        tried = Tried(service)
        assert tried.publish()
        number = next(number for number in range(1_000) if not tried.block(number))
        while_full(tried, service)

        room.resize(PLENTY)

        assert tried.publish()
        assert tried.served() == tried.approved
        assert tried.block(number + 1)
        assert tried.served() == tried.approved
        service.publisher.close()
    database.close()
    left = [path.name for path in room.path.rglob("*") if path.name.startswith(".") or path.name.endswith(".new")]
    assert left == []
    with dbapi2.connect(str(room.path / "pulih.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    return tried


def while_full(tried: Tried, service: Service) -> None:
    """Every answer is a success or says 507, reading goes on, and what is served is what was published last."""
    before = tried.served()
    for number in range(2_000, 2_010):
        tried.block(number)
    assert before <= tried.served() <= tried.approved
    assert len(service.read("orders?limit=1")["items"]) <= 1
    assert service.read("names/n0-0.example")["blocked"] is ("n0-0.example" in tried.approved)
    assert service.get(f"zones/{ZONE}/export.domains", by="isp-1").status_code in {200, 507}
    with service.database.read() as session:
        fresh = Follower(
            service.settings, Marks(service.settings.data_dir / "marks", "transfer"), service.database.read
        )
        try:
            fresh.refresh(session)
        except OSError as error:
            check_is_full(error)


def check_is_full(error: DBAPIError | OSError) -> None:
    assert (failure(error) if isinstance(error, DBAPIError) else error.strerror) in {
        "storage_full",
        "No space left on device",
    }

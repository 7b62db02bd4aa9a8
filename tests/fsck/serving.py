"""A transfer server in this process that sends what it is given, to a subscriber who may fetch it from here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from app.db import Database
from app.fsck.server import Asking
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.settings import Endpoint, Settings
from app.subscribers import seal
from app.subscribers.directory import Reader
from app.transfer.process import system_clock
from resolver_policy.version import ZoneVersion
from tests.fsck.looking import Place
from tests.subscribers.worlds import registered
from tests.wire.feeds import LONG_AGO, MadeFeed, serving

AUDITOR = "fsck"


def subscribe(place: Place) -> None:
    """Somebody who signs, and may ask from here."""
    key = seal.make(place.settings.secret_key_path)
    registered(place.database, AUDITOR, "127.0.0.1/32", now=LONG_AGO, secret_key=key)


def followed(database: Database, settings: Settings) -> Mapping[str, ZoneVersion]:
    """The zones as a transfer process has them."""
    follower = Follower(settings, Marks(settings.data_dir / "marks", "transfer"), database.read)
    with database.read() as session:
        follower.refresh(session)
    return follower.zones


@contextmanager
def sending(place: Place, zones: Mapping[str, ZoneVersion]) -> Iterator[Asking]:
    """What to ask for as long as the block runs."""
    with place.database.read() as session:
        known = Reader(place.settings.secret_key_path).read(session, system_clock())
    with serving(MadeFeed(zones, known)) as server:
        yield Asking(Endpoint("127.0.0.1", server.port))

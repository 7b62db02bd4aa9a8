"""The transfer process: `python -m app.transfer`, started by `pulih serve`."""

import logging
import sys
import threading
from contextlib import closing

from app import lifeline, logs, schema
from app.db import Database
from app.errors import SettingInvalid
from app.settings import Settings
from app.subscribers import directory
from app.transfer import alone
from app.transfer.database_feed import DatabaseFeed
from app.transfer.process import Transfer, settle, system_clock

log = logging.getLogger(__name__)

REFUSED = 2


def main() -> int:
    """Serve zones until told to stop; exit status 2 where the settings do not allow a start."""
    logs.to_stderr()
    lifeline.follow()
    try:
        settings = Settings()
        with closing(Database(settings.database)) as database:
            schema.check(database)
            with database.read() as session:
                directory.check(session, settings.secret_key_path, system_clock())
            with alone.hold(settings.data_dir):
                serve(settings, database)
    except SettingInvalid as error:
        log.error("%s", error)  # noqa: TRY400 - the message is all there is to say
        return REFUSED
    return 0


def serve(settings: Settings, database: Database) -> None:
    """Follow the database in a thread, and answer DNS in this one."""
    stop = threading.Event()
    feed = DatabaseFeed(settings, database, system_clock)
    server = Transfer(feed, settings.dns.host, settings.dns.port, stop=stop)
    follower = threading.Thread(
        target=feed.follow, args=(server.announce, server.pulse, stop), name="follower", daemon=True
    )
    follower.start()
    settle()
    server.run()
    stop.set()
    follower.join()
    feed.end()


if __name__ == "__main__":
    sys.exit(main())

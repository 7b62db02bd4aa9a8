"""How every process of the service logs: one line an event, UTC, to standard error; and which request it is about."""

import datetime as dt
import json
import logging
import os
import re
import sys
from contextvars import ContextVar

VARIABLE = "PULIH_LOG_FORMAT"

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is being answered, also in the thread that answers it."""

HEXADECIMAL = re.compile(r"[0-9a-f]+")
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s%(of_request)s"
OURS = "fields"
"""The `extra` of a log call that holds values of its own: `log.info("...", extra={OURS: {...}})`."""


SECRETS = re.compile(
    r"pulih_[A-Za-z0-9_-]{40,}"  # a token
    r"|(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{42,87}={1,2}(?!=)|(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{64}(?![A-Za-z0-9+/=])"
    r"|(?<=://)[^\s:/@]*:[^\s/@]+(?=@)"  # user and password of an address
)
"""What looks like a token, a TSIG secret in base64 (256, 384 or 512 bits), or a password in an address."""


def redacted(line: str) -> str:
    """A line without what looks like a secret: nothing should log one, and a fault's text may come from anywhere.

    Hashes in hexadecimal stay: they are of 64 characters too, and lie open in the journal.
    """
    return SECRETS.sub(lambda found: found[0] if HEXADECIMAL.fullmatch(found[0]) else "[secret]", line)


class Text(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a fault's below it."""
        return redacted(super().format(record))


class OfRequest(logging.Filter):
    """Lets lines for people end with the request that they are about."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the field `of_request`; every line goes on."""
        found = request_id.get()
        record.of_request = "" if found is None else f" [{found}]"
        return True


class Json(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, and as they come `request`, fields, `fault`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; whatever is in a message, it stays one."""
        said: dict[str, object] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        found = request_id.get()
        if found is not None:
            said["request"] = found
        said.update(getattr(record, OURS, {}))
        if record.exc_info:
            said["fault"] = self.formatException(record.exc_info)
        return redacted(json.dumps(said, ensure_ascii=True, default=str))


def to_stderr() -> None:
    """Begin to log, as `PULIH_LOG_FORMAT` says: before settings are read, since those are complained about too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(OfRequest())
    handler.setFormatter(Json() if os.environ.get(VARIABLE) == "json" else Text(TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)

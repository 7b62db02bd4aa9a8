"""dig and kdig as clients: what each makes of our EDNS, our signatures, and our errors."""

import base64
import datetime as dt
import subprocess
import time
from pathlib import Path

import pytest

from app.db import Database
from app.settings import Settings
from app.subscribers import directory, seal
from app.subscribers.keys import RotateKey, rotate
from app.transfer.process import Transfer, system_clock
from tests.servers import find
from tests.subscribers.worlds import ROOT, registered
from tests.wire.feeds import ISP_ONE, KEYED, SECRET, MadeFeed, serving

TOOLS = {"dig": "bind9-dnsutils", "kdig": "knot-dnsutils"}


@pytest.fixture(params=TOOLS)
def tool(request: pytest.FixtureRequest) -> Path:
    return find(request.param, TOOLS[request.param])


def key(name: str = ISP_ONE.name, secret: bytes = SECRET, algorithm: str = "hmac-sha256") -> str:
    return f"{algorithm}:{name}:{base64.b64encode(secret).decode()}"


def said(tool: Path, port: int, *arguments: str) -> str:
    """Everything a tool prints, of an answer or against it."""
    once = ("+tries=1",) if tool.name == "dig" else ("+retry=0",)
    command: list[str | Path] = [tool, "@127.0.0.1", "-p", str(port), "-b", KEYED, "+time=5", *once, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def transferred(text: str) -> bool:
    return text.count("CNAME") == 41 and "WARN" not in text and "ERR" not in text.replace("NOERROR", "")


@pytest.mark.parametrize(
    "option",
    ["+cookie=0102030405060708", "+padding=64", "+nsid", "+subnet=192.0.2.0/24", "+expire", "+bufsize=512", "+dnssec"],
)
def test_options_that_mean_nothing_here_are_ignored(server: Transfer, tool: Path, option: str) -> None:
    if tool.name == "kdig" and option == "+expire":
        option = "+ednsopt=9"
    for signed in ((), ("-y", key())):
        text = said(tool, server.port, "block.rpz", "SOA", option, *signed)
        assert "normalisation.example. 11 300" in text
        assert "WARNING: reply" not in text
        assert "malformed" not in text


@pytest.mark.parametrize("signed", [(), ("-y", key())], ids=["unsigned", "signed"])
def test_newer_version_of_edns_is_refused_as_such(server: Transfer, tool: Path, signed: tuple[str, ...]) -> None:
    once = ("+noednsneg",) if tool.name == "dig" else ()
    text = said(tool, server.port, "block.rpz", "SOA", "+edns=1", *once, *signed)
    assert "BADVERS" in text
    assert "normalisation" not in text
    assert "verif" not in text


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (key(secret=b"another secret of thirty-two byte"), "BADSIG"),
        (key(name="nobody"), "BADKEY"),
        (key(algorithm="hmac-sha384"), "BADKEY"),
        (key(algorithm="hmac-sha1"), "BADKEY"),
        (key(algorithm="hmac-md5"), "BADKEY"),
    ],
)
def test_each_error_is_read_as_what_it_is(server: Transfer, tool: Path, wrong: str, error: str) -> None:
    assert error in said(tool, server.port, "block.rpz", "SOA", "-y", wrong)
    text = said(tool, server.port, "block.rpz", "AXFR", "-y", wrong)
    assert "CNAME" not in text


@pytest.mark.parametrize("off", [-310, 310])
def test_clock_that_is_off_is_read_as_badtime(tool: Path, off: int) -> None:
    with serving(MadeFeed(), clock=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(seconds=off)) as server:
        assert "BADTIME" in said(tool, server.port, "block.rpz", "SOA", "-y", key())
        assert "CNAME" not in said(tool, server.port, "block.rpz", "AXFR", "-y", key())


def test_both_keys_of_a_rotation_work_until_the_overlap_is_over(
    tool: Path, database: Database, settings: Settings
) -> None:
    """As `subscriber rotate-key --overlap` leaves them in the database; the new one is of another algorithm."""
    now, secret_key = system_clock(), seal.make(settings.secret_key_path)
    old = registered(database, "isp-one", f"{KEYED}/32", now=now, secret_key=secret_key).tsig
    command = RotateKey("isp-one", dt.timedelta(seconds=3), "hmac-sha512")
    with database.write() as session:
        new = rotate(session, ROOT, command, now, secret_key=secret_key)
        known = directory.Reader(settings.secret_key_path).read(session, now)
    assert old is not None
    first, second = (key(each.name, each.secret, each.algorithm) for each in (old, new))
    with serving(MadeFeed(known=known)) as server:
        assert transferred(said(tool, server.port, "block.rpz", "AXFR", "-y", first))
        assert transferred(said(tool, server.port, "block.rpz", "AXFR", "-y", second))
        while system_clock() <= now + command.overlap:
            time.sleep(0.1)
        assert "BADKEY" in said(tool, server.port, "block.rpz", "SOA", "-y", first)
        assert not transferred(said(tool, server.port, "block.rpz", "AXFR", "-y", first))
        assert transferred(said(tool, server.port, "block.rpz", "AXFR", "-y", second))

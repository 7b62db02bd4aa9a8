"""The process: when it begins to serve, and that it ends at once."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app.transfer.process import Transfer, run
from tests.wire.clients import query, udp
from tests.wire.feeds import MadeFeed, small_zone

PROGRAM = """
from app.transfer.process import run
from tests.wire.feeds import MadeFeed
run("127.0.0.1", 0, MadeFeed(), started=lambda server: print(server.port, flush=True))
print("ended", flush=True)
"""


def test_it_listens_once_there_is_a_zone() -> None:
    feed, ports = MadeFeed({}), []
    stop = threading.Event()
    thread = threading.Thread(target=run, args=("127.0.0.1", 0, feed, stop, lambda server: ports.append(server.port)))
    thread.start()
    time.sleep(0.3)
    assert ports == []
    feed.zones = {"block.rpz": small_zone()}
    deadline = time.monotonic() + 5
    while not ports and time.monotonic() < deadline:
        time.sleep(0.01)
    assert udp(query("SOA"), ports[0]).answer
    began = time.monotonic()
    stop.set()
    thread.join(5)
    assert time.monotonic() - began < 1


def test_it_can_be_stopped_before_there_is_a_zone() -> None:
    server = Transfer(MadeFeed({}), "127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    server.announce("block.rpz")
    server.stop()
    thread.join(1)
    assert not thread.is_alive()


def test_announcing_after_the_end_does_nothing() -> None:
    server = Transfer(MadeFeed(), "127.0.0.1", 0)
    server.run(lambda started: started.stop())
    server.announce("block.rpz")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_within_a_second(number: signal.Signals) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert udp(query("SOA"), port).answer
        began = time.monotonic()
        process.send_signal(number)
        assert process.stdout.readline() == "ended\n"
        assert process.wait(5) == 0
    assert time.monotonic() - began < 1

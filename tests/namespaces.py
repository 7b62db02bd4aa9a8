"""A network of its own for a test: one that a thread leaves the machine's for, and with it whatever it starts.

Links, addresses and packet filters in it are nobody else's, and are gone with the last process and socket in it.
"""

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.servers import find, missing

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of unshare(2)."""

Result = TypeVar("Result")


def in_own_network(body: Callable[[], Result]) -> Result:
    """Run `body` where there is only a loopback interface; what the system forbids is missing."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_leave).result()
        return thread.submit(body).result()


def _leave() -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(NEW_NETWORK) != 0:
        missing(f"no network of its own for a test: {os.strerror(ctypes.get_errno())} (needs root)")
    subprocess.run([find("ip", "iproute2"), "link", "set", "lo", "up"], check=True)


def filter_packets(rules: str) -> None:
    """Hand rules to nftables; call it in that network alone."""
    done = subprocess.run(
        [find("nft", "nftables"), "-f", "-"], input=rules, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        missing(f"this kernel takes no such packet filter: {done.stderr.strip()}")


def counted(counter: str) -> int:
    """How many packets a named counter of the table `test` saw."""
    command: list[str | Path] = [find("nft", "nftables"), "list", "counter", "inet", "test", counter]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(text.partition("packets ")[2].split()[0])

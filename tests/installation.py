"""Pulih as its users run it: the command `pulih`, its own processes, its own data directory."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import databases
from tests.servers import free_port, wait_until
from tests.service import Template

PULIH = (sys.executable, "-m", "app.cli")


@dataclass
class Installation:
    """One data directory with its settings. `serving` starts it; `act` posts as somebody."""

    directory: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    http_port: int = field(default_factory=free_port)
    dns_port: int = field(default_factory=free_port)
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if databases.KIND == "postgresql":  # a file is made by whoever opens it
            databases.make(self.database)

    @property
    def database(self) -> str:
        """The address of its database."""
        return databases.url_in(self.directory / "var")

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PULIH_DATA_DIR": str(self.directory / "var"),
            "PULIH_DATABASE_URL": self.database,
            "PULIH_HTTP_LISTEN": f"127.0.0.1:{self.http_port}",
            "PULIH_DNS_LISTEN": f"127.0.0.1:{self.dns_port}",
            "PULIH_RATE_TOKEN": "0",  # as many requests as a test likes
            "PULIH_RATE_ADDRESS": "0",
            **self.settings,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def pulih(self, *arguments: str, as_: str | None = None, status: int = 0, patience: float = 180) -> str:
        """Run a command; its standard output. Fails the test unless it ends with `status`."""
        environment = self.environment
        if as_ is not None:
            environment["PULIH_TOKEN"] = self.token(as_)
        done = subprocess.run(
            [*PULIH, *arguments],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience,
        )
        if done.returncode != status:
            pytest.fail(f"pulih {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def token(self, name: str) -> str:
        """A token of the principal `name`, whose role is the part before the hyphen."""
        if name not in self.tokens:
            role = name.partition("-")[0]
            self.tokens[name] = self.pulih("token", "create", "--role", role, "--name", name, "--print").strip()
        return self.tokens[name]

    def add_subscriber(self, name: str, *, notify_port: int | None = None) -> dict[str, Any]:
        """Register an ISP on this machine, with a key; what was printed."""
        notify = [] if notify_port is None else ["--notify", f"127.0.0.1:{notify_port}"]
        printed = self.pulih("subscriber", "add", name, "--address", "127.0.0.1/32", *notify, "--tsig", "--json")
        added: dict[str, Any] = json.loads(printed)
        self.tokens[name] = added["token"]
        return added

    @contextmanager
    def serving(
        self, ready: Callable[["Service"], bool] = lambda service: service.ready(), patience: float = 90
    ) -> Iterator["Service"]:
        """`pulih serve`, until the block ends; it must be `ready` after `patience` seconds."""
        log_file = self.directory / "pulih.log"
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [*PULIH, "serve"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        service = Service(self, process, log_file)
        try:
            wait_until(lambda: ready(service), patience, service.log)
            yield service
        finally:
            service.stop()


def prepared(directory: Path, template: Template, settings: Mapping[str, str] | None = None) -> Installation:
    """One whose people hold their tokens already, as if its commands had been run: each takes a second or two."""
    made = Installation(directory, settings or {}, tokens={**template.tokens})
    databases.make(made.database, template.url)
    return made


@dataclass
class Service:
    """A running installation."""

    installation: Installation
    process: subprocess.Popen[bytes]
    log_file: Path

    def ready(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"pulih serve ended as it started:\n{self.log()}")
        try:
            return httpx.get(f"{self.installation.url}/readyz").is_success
        except httpx.TransportError:
            return False

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)

    def get(self, path: str, as_: str | None = "auditor-1", **parameters: str) -> Any:  # noqa: ANN401 - JSON
        answer = httpx.get(
            f"{self.installation.url}/api/v1{path}", params=parameters, headers=self._headers(as_), timeout=30
        )
        assert answer.is_success, answer.text
        return answer.json()

    def act(self, path: str, body: object, as_: str, status: int = 200) -> Any:  # noqa: ANN401 - JSON
        answer = httpx.post(
            f"{self.installation.url}/api/v1{path}",
            json=body,
            headers={**self._headers(as_), "If-Match": "*"},
            timeout=30,
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    def _headers(self, as_: str | None) -> dict[str, str]:
        return {} if as_ is None else {"Authorization": f"Bearer {self.installation.token(as_)}"}


def order(number: str, *targets: tuple[str, str], conditions: tuple[str, ...] = ("content_removed",)) -> dict[str, Any]:
    """A fictional order: (name, match) targets, and conditions that must all be met."""
    return {
        "number": number,
        "dated": "2026-11-01",
        "authority": "Example Ministry",
        "kind": "block",
        "legal_basis": [{"instrument": "Example Act", "article": "1"}],
        "category": "gambling",
        "reason": {"id": "Contoh", "en": "An example"},
        "review_due_at": "2036-11-01T00:00:00Z",
        "targets": [{"name": name, "match": match} for name, match in targets],
        "conditions": {"all_of": [leaf(code) for code in conditions]},
    }


def order_file(number: str) -> str:
    """What an imported list is ordered by: the file for `pulih import --order-file`."""
    return f"""
number = "{number}"
dated = 2026-11-01
authority = "Example Ministry"
kind = "block"
category = "fraud"
review_due_at = 2036-11-01T00:00:00Z
legal_basis = [{{ instrument = "Example Act", article = "1" }}]
reason = {{ id = "Contoh", en = "An example" }}
sop = {{ code = "domain-owner" }}
"""


def leaf(code: str) -> dict[str, Any]:
    """A condition that the platform must meet."""
    return {
        "code": code,
        "text": {"id": "Syarat", "en": "A condition"},
        "responsible_party": "platform",
        "gating": True,
        "kind": "one_off",
    }


def settle() -> None:
    """Let the second since the last release go by, so that the next change is published at once."""
    time.sleep(1.2)

"""An application behind a real HTTP server, on a free port, for one test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from tests.servers import wait_until
from tests.service import listening


@contextmanager
def serving(application: FastAPI) -> Iterator[httpx.Client]:
    """A client of it; ended with it."""
    listener = listening()
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, lifespan="off", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, 10, lambda: "the HTTP server did not start")
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(15)
        listener.close()

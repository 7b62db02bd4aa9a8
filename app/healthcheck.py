"""Asking a running service whether it is well: for containers."""

import httpx

from app.settings import Endpoint

TIMEOUT = 3.0


def ask(http: Endpoint) -> str | None:
    """None where the service is ready; else what is wrong, in words."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(http.host, http.host)  # noqa: S104 - an address to ask instead of
    try:
        answer = httpx.get(f"http://{Endpoint(host, http.port)}/readyz", timeout=TIMEOUT)
    except httpx.HTTPError as error:
        return f"no answer from {Endpoint(host, http.port)}: {error}"
    return None if answer.is_success else answer.text.strip()

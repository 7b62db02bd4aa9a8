"""What a template says and how it is stored; the ones that ship, version 1 each, with their source."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import rfc8785

FILES = ("ott-platform-1.json", "domain-owner-1.json")
SAID = ("title", "source", "conditions", "profiles")


def shipped() -> Iterator[dict[str, object]]:
    """Rows of the templates that ship, as the first migration stores them: confirmed, and proposed by nobody."""
    folder = resources.files(__name__)
    for name in FILES:
        template = json.loads((folder / name).read_text("utf-8"))
        said = {part: template[part] for part in SAID}
        yield {
            "code": template["code"],
            "number": 1,
            "version": 1,
            "state": "confirmed",
            "sha256": digest(template["code"], 1, said),
            **columns(said),
        }


def columns(said: Mapping[str, Any]) -> dict[str, str]:
    """What a version says, as it is stored."""
    trees = {part: json.dumps(said[part], ensure_ascii=False) for part in ("conditions", "profiles")}
    return {"title_id": said["title"]["id"], "title_en": said["title"]["en"], "source": said["source"], **trees}


def digest(code: str, number: int, said: Mapping[str, Any]) -> bytes:
    """SHA-256 of a version (RFC 8785)."""
    return hashlib.sha256(rfc8785.dumps({"code": code, "version": number, **said})).digest()

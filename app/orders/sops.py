"""SOP templates: named, versioned condition trees, with profiles by kind of platform."""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from app.errors import Fault, Unprocessable
from app.orders.schemas import SopChoice

FILES = ("ott-platform-1.json", "domain-owner-1.json")


@dataclass(frozen=True, slots=True)
class Sop:
    """One version of a template; a profile's tree stands in for the template's own."""

    code: str
    version: int
    title: dict[str, str]
    source: str
    conditions: dict[str, Any]
    profiles: dict[str, dict[str, Any]]

    def tree(self, profile: str | None) -> dict[str, Any]:
        """The condition tree of a profile; raises Unprocessable (`sop_unknown`) for one that is not there."""
        if profile is None:
            return self.conditions
        if profile not in self.profiles:
            raise _unknown(f"SOP {self.code} has no profile {profile!r}", profile, "/sop/profile")
        return self.profiles[profile]


def load() -> tuple[Sop, ...]:
    """Every version of every template that ships, newest last."""
    folder = resources.files("app.orders") / "sop_templates"
    return tuple(Sop(**json.loads((folder / name).read_text("utf-8"))) for name in FILES)


SOPS = load()


def find(choice: SopChoice) -> Sop:
    """The template that is meant; raises Unprocessable (`sop_unknown`)."""
    versions = [sop for sop in SOPS if sop.code == choice.code and choice.version in {None, sop.version}]
    if not versions:
        wanted = choice.code if choice.version is None else f"{choice.code} version {choice.version}"
        raise _unknown(f"there is no SOP {wanted}", choice.code, "/sop/code")
    return max(versions, key=lambda sop: sop.version)


def _unknown(detail: str, value: str, pointer: str) -> Unprocessable:
    return Unprocessable(detail, code="sop_unknown", faults=(Fault("sop_unknown", value, pointer),))

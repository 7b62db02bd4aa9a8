"""What a zone does with a blocked name, and the CNAME target that says so to a resolver (RPZ actions)."""

from dataclasses import dataclass
from typing import Literal

from resolver_policy.errors import ActionInvalid, PolicyError
from resolver_policy.names import canonical
from resolver_policy.targets import Decision

PASSTHRU = "rpz-passthru."
TARGETS = {"nxdomain": ".", "nodata": "*."}


@dataclass(frozen=True, slots=True)
class Action:
    """`target` is the canonical name of the landing page, for a redirect only."""

    kind: Literal["nxdomain", "nodata", "redirect"]
    target: str | None = None

    def __post_init__(self) -> None:
        if (self.kind == "redirect") != (self.target is not None):
            raise ValueError("a redirect has a target, no other action has one")


def parse_action(text: str) -> Action:
    """Read `nxdomain`, `nodata` or `redirect:landing.example`."""
    if text == "nxdomain":
        return Action("nxdomain")
    if text == "nodata":
        return Action("nodata")
    kind, colon, landing = text.partition(":")
    if kind != "redirect" or not colon:
        raise ActionInvalid(
            f"{text!r} is not an action: nxdomain, nodata or redirect:NAME", value=text, rule="action_unknown"
        )
    try:
        return Action("redirect", canonical(landing))
    except PolicyError as exc:
        raise ActionInvalid(f"redirect target: {exc.detail}", value=landing, rule="redirect_target") from exc


def target_of(action: Action, decision: Decision) -> str:
    """Give the absolute CNAME target of a record whose owner has this decision."""
    if decision is Decision.NOTHING:
        raise ValueError("no record, no target")
    if decision is Decision.PASS:
        return PASSTHRU
    return TARGETS[action.kind] if action.target is None else action.target + "."

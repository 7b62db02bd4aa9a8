"""What the policy refuses, and under which code.

PolicyError
├── NameInvalid         name_invalid
├── NameTooLong         name_too_long
├── AddressNotName      address_not_name
├── HardProtected       hard_protected
├── SoftProtected       soft_protected
├── ConditionsEmpty     conditions_empty
├── NoGatingCondition   no_gating_condition
├── ConditionsInvalid   body_invalid
├── ActionInvalid       body_invalid
├── ExportTooLarge      too_large
└── SerialExhausted     state_conflict

Codes are part of the interface and never change.
"""

from typing import ClassVar

LONGEST_VALUE = 200


def printable(text: str) -> str:
    """Make hostile text safe to show: what does not print is escaped, at most 200 characters are kept."""
    head = text[: LONGEST_VALUE + 1]
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in head)
    return escaped if len(escaped) <= LONGEST_VALUE else escaped[: LONGEST_VALUE - 1] + "…"


class PolicyError(Exception):
    """An expected refusal: `code` says which kind, `value` what was refused, `rule` which rule it broke."""

    code: ClassVar[str] = "policy"

    def __init__(self, detail: str, *, value: str | None = None, rule: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.value = None if value is None else printable(value)
        self.rule = rule


class NameInvalid(PolicyError):
    code = "name_invalid"


class NameTooLong(PolicyError):
    code = "name_too_long"


class AddressNotName(PolicyError):
    code = "address_not_name"


class HardProtected(PolicyError):
    """Nothing lifts this refusal."""

    code = "hard_protected"


class SoftProtected(PolicyError):
    """An override of two people lifts this refusal."""

    code = "soft_protected"


class ConditionsEmpty(PolicyError):
    code = "conditions_empty"


class NoGatingCondition(PolicyError):
    code = "no_gating_condition"


class ConditionsInvalid(PolicyError):
    """`pointer` is the JSON pointer (RFC 6901) of the offending part, relative to the tree."""

    code = "body_invalid"

    def __init__(self, detail: str, *, pointer: str, value: str | None = None, rule: str | None = None) -> None:
        super().__init__(detail, value=value, rule=rule)
        self.pointer = pointer


class ActionInvalid(PolicyError):
    code = "body_invalid"


class ExportTooLarge(PolicyError):
    code = "too_large"


class SerialExhausted(PolicyError):
    code = "state_conflict"

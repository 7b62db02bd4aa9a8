"""Expected failures of the service, each with a code that never changes.

AppError
+-- Unauthenticated    401  token_missing, token_invalid
+-- Forbidden          403  role_forbidden, four_eyes
+-- NotFound           404  not_found
+-- Gone               410  serial_unknown
+-- Conflict           409  state_conflict, plan_changed, order_number_taken, exception_not_specific, ...
+-- StaleVersion       412  stale_version
+-- VersionRequired    428  version_required
+-- Unprocessable      422  body_invalid, category_unknown, sop_unknown, review_date_past, mass_change, ...
+-- TooLarge           413  too_large
+-- WrongMediaType     415  media_type
+-- RateLimited        429  rate_limited

Failures of the policy itself are `resolver_policy.errors.PolicyError`; both kinds carry `code` and `detail`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from resolver_policy.errors import PolicyError


@dataclass(frozen=True, slots=True)
class Fault:
    """One offending value: where it stood (a JSON pointer or a line number), what it was, the rule it broke."""

    rule: str
    value: str | None = None
    pointer: str | None = None
    line: int | None = None


class AppError(Exception):
    """A failure that a client can understand and mend; becomes `application/problem+json`."""

    status = 500
    default_code = "internal"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, detail: str, *, code: str | None = None, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.code = code or self.default_code
        self.detail = detail
        self.faults = tuple(faults)


class Unauthenticated(AppError):
    """No token, or one that is unknown, expired or revoked."""

    status = 401
    default_code = "token_invalid"
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class Forbidden(AppError):
    """The principal may not do this: its role, or four-eyes."""

    status = 403
    default_code = "role_forbidden"


class NotFound(AppError):
    """There is no such thing, or it is not this principal's to see."""

    status = 404
    default_code = "not_found"


class Gone(AppError):
    """It was asked for by a serial this zone never had."""

    status = 410
    default_code = "serial_unknown"


class Conflict(AppError):
    """The state of the thing does not allow the act."""

    status = 409
    default_code = "state_conflict"


class StaleVersion(AppError):
    """`If-Match` names a version that is not the current one."""

    status = 412
    default_code = "stale_version"


class VersionRequired(AppError):
    """A transition came without `If-Match`."""

    status = 428
    default_code = "version_required"


class Unprocessable(AppError):
    """The request is well-formed, and wrong."""

    status = 422
    default_code = "body_invalid"


class TooLarge(AppError):
    """More octets, lines or names than one request may carry."""

    status = 413
    default_code = "too_large"


class WrongMediaType(AppError):
    """A body of a kind this route does not read."""

    status = 415
    default_code = "media_type"


class RateLimited(AppError):
    """More requests than one client may make; `retry_after` is in how many seconds it may make another."""

    status = 429
    default_code = "rate_limited"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": str(retry_after)}


class Refused(Exception):
    """What a command on the host itself will not do, in one plain line."""


class SettingInvalid(Exception):
    """A setting makes no sense; the service does not start with it."""


def faults_of(error: PolicyError, *, pointer: str | None = None, line: int | None = None) -> tuple[Fault, ...]:
    """The fault that a policy error describes, with the place where its value stood."""
    return (Fault(rule=error.rule or error.code, value=error.value, pointer=pointer, line=line),)

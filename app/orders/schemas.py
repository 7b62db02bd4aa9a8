"""What people send: orders, acts on them, evidence. Unknown fields and multi-line texts are refused."""

import base64
import binascii
import datetime as dt
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from app.orders.models import Ground, OrderKind, ReviewDecision
from resolver_policy.targets import Match

MAX_TARGETS = 1_000
"""Names in one proposal; more go by import."""

MAX_EVIDENCE_OCTETS = 1_048_576
EARLIEST_YEAR, LATEST_YEAR = 1900, 9000


def one_line(text: str) -> str:
    """Text that can stand in a log or beside a zone: one line, no control characters, no `;`, not blank."""
    for character in text:
        if character == ";" or unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Cs"}:
            raise ValueError(f"holds {character!r}: one line without control characters and without ';'")
    if not text.strip():
        raise ValueError("is blank")
    return text.strip()


def paragraph(text: str) -> str:
    """Text of several lines, without other control characters."""
    for character in text:
        if character not in "\n\t\r" and unicodedata.category(character) in {"Cc", "Cf", "Cs"}:
            raise ValueError(f"holds the control character {character!r}")
    if not text.strip():
        raise ValueError("is blank")
    return text


def in_utc(moment: dt.datetime) -> dt.datetime:
    """The same moment in UTC; years far enough from either end of the calendar that no time zone leaves it."""
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise ValueError(f"its year is not between {EARLIEST_YEAR} and {LATEST_YEAR}")
    return moment.astimezone(dt.UTC)


Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]
Line = Annotated[str, Field(max_length=2000), AfterValidator(one_line)]
ShortLine = Annotated[str, Field(max_length=200), AfterValidator(one_line)]
Code = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
ConditionCode = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]


class Schema(BaseModel):
    """Base of every body: frozen, and strict about names of fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Bilingual(Schema):
    """A text in Indonesian and English."""

    id: Line
    en: Line


class LegalBasis(Schema):
    """An instrument and the article that the order rests on."""

    instrument: ShortLine
    article: ShortLine | None = None


class TargetIn(Schema):
    """One name to block, or to keep reachable. `match` is required: nobody blocks a subtree by accident."""

    name: Annotated[str, Field(max_length=2000)]
    match: Match


class SopChoice(Schema):
    """A template to take the conditions from; the newest version where none is said."""

    code: Code
    version: Annotated[int, Field(ge=1)] | None = None
    profile: Code | None = None


class PutSop(Schema):
    """A version of a template: its trees, by kind of platform where they differ, and where they come from."""

    title: Bilingual
    source: Line
    conditions: dict[str, Any]
    profiles: Annotated[dict[Code, dict[str, Any]], Field(max_length=20)] = {}
    reason: Line


class DecideSop(Schema):
    """Confirmation or withdrawal of a proposed version."""

    reason: Line


class Override(Schema):
    """Why a soft-protected name, or one under a TLD nobody knows, is blocked all the same, and until when."""

    reason: Line
    expires_at: Moment


class OrderBody(Schema):
    """A legal order, as it was issued. Everything but the targets."""

    number: ShortLine | None
    dated: dt.date
    authority: ShortLine
    kind: OrderKind
    legal_basis: Annotated[tuple[LegalBasis, ...], Field(min_length=1, max_length=20)]
    category: Code
    reason: Bilingual
    platform: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")] | None = None
    effective_at: Moment | None = None
    expires_at: Moment | None = None
    review_due_at: Moment
    override: Override | None = None
    conditions: dict[str, Any] | None = None
    sop: SopChoice | None = None
    reporter: ShortLine | None = None
    contact: ShortLine | None = None


class OrderIn(OrderBody):
    """An order that is entered: it has a number."""

    number: ShortLine


class ProposeOrder(OrderIn):
    """A proposal: an order and at most 1,000 targets."""

    targets: Annotated[tuple[TargetIn, ...], Field(min_length=1)]


class ProposeSample(OrderBody):
    """An order of the sample case, where a note may stand for a number that nobody knows; no route takes it."""

    number_note: Line | None = None
    targets: Annotated[tuple[TargetIn, ...], Field(min_length=1)]


class Decide(Schema):
    """Approval or rejection; `plan_hash` where the plan must have been seen."""

    reason: Line
    plan_hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None


class Withdraw(Schema):
    """The proposer takes a proposal back."""

    reason: Line


HandGround = Literal[Ground.SOLUTION_INDICATED, Ground.APPEAL_UPHELD, Ground.WRONG_BLOCK, Ground.COURT]
"""Grounds that a person decides on; the others come about by themselves."""


class Commitment(Schema):
    """A condition that is not met, and the date by which it is to be met after an early lift."""

    condition: ConditionCode
    due_at: Moment


class Commit(Schema):
    """Another date for a commitment."""

    due_at: Moment
    reason: Line


Commitments = Annotated[tuple[Commitment, ...], Field(max_length=100)]


class Lift(Schema):
    """A lift now, of all targets or of the named ones.

    `document` is what the decision rests on: a judgment, or the decision on an appeal.
    """

    ground: HandGround
    reason: Line
    document: ShortLine | None = None
    commitments: Commitments = ()
    targets: Annotated[tuple[TargetIn, ...], Field(min_length=1, max_length=MAX_TARGETS)] | None = None


class PlanLift(Schema):
    """A lift at a moment, or (`at` null) at a moment not chosen yet."""

    ground: HandGround
    reason: Line
    document: ShortLine | None = None
    commitments: Commitments = ()
    at: Moment | None = None


class Suspend(Schema):
    """An opening until a moment, or another end of one that there is."""

    reason: Line
    until: Moment


class Resume(Schema):
    """The early end of an opening."""

    reason: Line


class Undo(Schema):
    """Undoing an order, or the lift that ended it; `review_due_at` where the one it had has passed."""

    reason: Line
    review_due_at: Moment | None = None


class CloseReview(Schema):
    """The decision that closes a review; `order` is the proposal that it led to."""

    decision: ReviewDecision
    reason: Line
    order: Annotated[str, Field(max_length=60)] | None = None


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"is not base64: {error}") from error
    return text


def file_name(name: str) -> str:
    """A name that is one on every system: no path, nothing hidden, nothing that a system takes for something else."""
    if not NOT_IN_A_FILE_NAME.isdisjoint(name) or name.startswith(".") or name.endswith("."):
        raise ValueError("a file name has no path, does not begin or end with a dot, and holds none of " + SHOWN_NOT)
    return name


NOT_IN_A_FILE_NAME = frozenset('/\\:*?"<>|%\x7f')
SHOWN_NOT = " ".join(sorted(NOT_IN_A_FILE_NAME - {"\x7f"}))


class EvidenceFile(Schema):
    """A file, its octets in base64."""

    name: Annotated[ShortLine, AfterValidator(file_name)]
    content: Annotated[str, Field(max_length=MAX_EVIDENCE_OCTETS * 4 // 3 + 4), AfterValidator(_base64)]


class EvidenceIn(Schema):
    """Text, or a file, or both."""

    text: Annotated[str, Field(max_length=20_000), AfterValidator(paragraph)] | None = None
    file: EvidenceFile | None = None


class Delegate(Schema):
    """A third party that fulfils a condition for the platform, and from when to when it may."""

    name: ShortLine
    valid_from: Moment
    valid_until: Moment


class Claim(Schema):
    """The statement that a condition is fulfilled, by whom if not by the platform itself, with what shows it."""

    evidence: EvidenceIn
    delegate: Delegate | None = None


class AddEvidence(Schema):
    """More that shows what was claimed."""

    evidence: EvidenceIn


class Mark(Schema):
    """Verification or rejection of a claim."""

    reason: Line


class Waive(Schema):
    """A condition set aside, by whose authority and why."""

    reason: Line
    authority: ShortLine

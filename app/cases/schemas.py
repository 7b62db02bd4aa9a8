"""What people send about applications: what came in, what lacks, what was decided."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.cases.models import ApplicationKind, Standing
from app.orders.models import Ground
from app.orders.schemas import Bilingual, Commitments, ConditionCode, Line, Moment, Schema, ShortLine

MOST_NAMES = 100
"""Names that one application is about; more have an order in common, and name that."""

Uid = Annotated[str, Field(max_length=60)]
PaperCodes = Annotated[tuple[ConditionCode, ...], Field(min_length=1, max_length=50)]


class Applicant(Schema):
    """Who applies. Name and contact are personal: the journal keeps their salted hashes, the text beside them."""

    standing: Standing
    name: ShortLine
    contact: ShortLine


class About(Schema):
    """What an application is about: an order, names, or names of that order alone."""

    order: Uid | None = None
    names: Annotated[tuple[Annotated[str, Field(max_length=2000)], ...], Field(max_length=MOST_NAMES)] = ()


class PaperIn(Schema):
    """A paper that was brought: which of the checklist, where it is filed, its SHA-256 where it is a file."""

    code: ConditionCode
    reference: ShortLine
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


Papers = Annotated[tuple[PaperIn, ...], Field(max_length=50)]


class Receive(Schema):
    """An application as it came in; `received_at` where it is entered later than it came."""

    kind: ApplicationKind = ApplicationKind.APPLICATION
    applicant: Applicant
    about: About = About()
    appeal_of: Uid | None = None
    statement: Line
    papers: Papers = ()
    received_at: Moment | None = None

    @model_validator(mode="after")
    def _about_something(self) -> Self:
        named = self.about.order is not None or bool(self.about.names)
        if self.appeal_of is not None and (named or self.kind is not ApplicationKind.APPEAL):
            raise ValueError("appeal_of is of an appeal, which is about what the refused application was about")
        if self.appeal_of is None and not named:
            raise ValueError("about: it names an order, or names")
        return self


class Incomplete(Schema):
    """Which papers lack, or do not do, and why: the clock stops."""

    missing: PaperCodes
    reason: Line


class Complete(Schema):
    """The papers that lacked: the clock goes on."""

    papers: Annotated[tuple[PaperIn, ...], Field(min_length=1, max_length=50)]


class WithdrawApplication(Schema):
    """The applicant takes an application back."""

    reason: Line


class Outcome(StrEnum):
    """How an application is decided; `overtaken`: nothing that it was about holds any more."""

    GRANTED = "granted"
    REFUSED = "refused"
    OVERTAKEN = "overtaken"


ApplicationGround = Literal[Ground.SOLUTION_INDICATED, Ground.WRONG_BLOCK, Ground.COURT, Ground.APPEAL_UPHELD]


class DecideApplication(Schema):
    """A decision, with its reason in both languages.

    What is granted has a ground, and what that ground needs, as a lift by hand has.
    """

    outcome: Outcome
    reason: Bilingual
    ground: ApplicationGround | None = None
    document: ShortLine | None = None
    commitments: Commitments = ()

    @model_validator(mode="after")
    def _a_ground_for_a_lift(self) -> Self:
        if (self.outcome is Outcome.GRANTED) != (self.ground is not None):
            raise ValueError("ground: what is granted has one, and nothing else")
        if self.outcome is not Outcome.GRANTED and (self.document is not None or self.commitments):
            raise ValueError("document and commitments are of what is granted")
        return self

"""What people send about periodic reviews: what a review came to, and what was seen of names."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from app.orders.review_models import ReviewOutcome, Stale
from app.orders.schemas import Commitments, HandGround, Line, Moment, Schema, ShortLine

MOST_NOTES = 1_000
"""Notes in one request, and in one transaction of an import."""


class ReviewOrder(Schema):
    """A review: the order is kept until the next, lifted now, or lifted as planned (`at` null: moment not chosen)."""

    outcome: ReviewOutcome
    reason: Line
    next_review_at: Moment | None = None
    ground: HandGround | None = None
    document: ShortLine | None = None
    commitments: Commitments = ()
    at: Moment | None = None

    @model_validator(mode="after")
    def _what_an_outcome_needs(self) -> Self:
        if (self.outcome is ReviewOutcome.LIFT) != (self.next_review_at is None):
            raise ValueError("next_review_at: whatever is not lifted is reviewed again")
        if (self.outcome is ReviewOutcome.KEEP) != (self.ground is None):
            raise ValueError("ground: a lift has one, and what is kept has none")
        if self.outcome is ReviewOutcome.KEEP and (self.document is not None or self.commitments):
            raise ValueError("document and commitments are of a lift")
        if self.outcome is not ReviewOutcome.PLAN and self.at is not None:
            raise ValueError("at is of a planned lift")
        return self


class NoteIn(Schema):
    """What was seen of a name: in all standing orders that name it, or (`order`: number or id) in one."""

    name: Annotated[str, Field(max_length=2000)]
    order: Annotated[str, Field(max_length=200)] | None = None
    what: Stale
    seen_at: Moment
    source: ShortLine


class Notes(Schema):
    """What was seen of some names."""

    notes: Annotated[tuple[NoteIn, ...], Field(min_length=1, max_length=MOST_NOTES)]

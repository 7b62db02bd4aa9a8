"""Bugs of answers about the past."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace as with_other

from sqlalchemy.orm import Session

from app.orders import difference, past, targets
from app.orders.models import Order
from app.orders.targets import Held
from app.publication import zones
from app.publication.models import Release
from app.subscribers import held as seen
from app.subscribers.verdicts import Course
from tests.planted import Plant, replace


def state_of_now() -> None:
    """The state of an order is read from its row: what is, not what was."""
    replace(past, "state_at", lambda _: lambda _at: Order.state)


def serial_guessed() -> None:
    """Between two sights a server is taken to have what it was seen with before."""

    def guessing(judge: Callable[..., seen.Held]) -> Callable[..., seen.Held]:
        def judged(around: seen.Seen, at: dt.datetime, head: int) -> seen.Held:
            found = judge(around, at, head)
            if found.before is None or found.before.release is None:
                return found
            release = found.before.release
            return with_other(found, stretches=((release, release),), nothing=False)

        return judged

    replace(seen, "judge", guessing)


def release_for_decision() -> None:
    """What was decided counts from when it was published."""

    def late(cover_at: Callable[[Session, str, dt.datetime], Sequence[Held]]) -> object:
        def covered(session: Session, key: str, at: dt.datetime) -> Sequence[Held]:
            head = zones.head_at(session, at)
            return cover_at(session, key, at if head is None else head.published_at)

        return covered

    replace(targets, "cover_at", late)


def decision_for_release() -> None:
    """What was published counts from when it was decided: the release after a moment is taken for its own."""

    def early(head_at: Callable[[Session, dt.datetime], Release | None]) -> object:
        def head(session: Session, at: dt.datetime) -> Release | None:
            found = head_at(session, at)
            return None if found is None else session.get(Release, found.id + 1) or found

        return head

    replace(zones, "head_at", early)


def one_end_of_a_range() -> None:
    """Of all that a server may have held, the ends alone are asked what they make of the name."""

    def ends(_: object) -> object:
        return lambda course, first, last: {course.at(first), course.at(last)}

    replace(Course, "over", ends)


def other_holders_left_out() -> None:
    """A name that others hold now, and that is as blocked as before, is no difference."""

    def without(between: Callable[[Session, dt.datetime, dt.datetime], Iterable[difference.Changed]]) -> object:
        def some(session: Session, older: dt.datetime, newer: dt.datetime) -> Iterable[difference.Changed]:
            found = between(session, older, newer)
            return (each for each in found if each.change is not difference.Change.HOLDERS)

        return some

    replace(difference, "between", without)


PLANTS: dict[str, Plant] = {
    "past-state-of-now": state_of_now,
    "past-serial-guessed": serial_guessed,
    "past-release-for-decision": release_for_decision,
    "past-decision-for-release": decision_for_release,
    "past-ends-of-a-range": one_end_of_a_range,
    "past-holders-left-out": other_holders_left_out,
}

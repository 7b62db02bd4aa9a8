"""Whether what several people were answered at the same time could have been answered to one after the other.

Every act on an order makes its next version, and every answer says which. So the order of acts is known, and three
things are left to ask (Herlihy and Wing, "Linearizability", 1990): is each act allowed in the state that the act
before it left; did each act and each reading see at least what had been answered before it was sent, and nothing that
was sent after it was answered; and is there, for each refusal, a state within its time in which it is right.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

NEXT = {
    ("proposed", "approve"): "active",
    ("proposed", "reject"): "rejected",
    ("proposed", "withdraw"): "withdrawn",
    ("active", "suspend"): "suspended",
    ("suspended", "resume"): "active",
    ("active", "plan-lift"): "active",
    ("suspended", "plan-lift"): "suspended",
    ("active", "lift"): "ended",
    ("suspended", "lift"): "ended",
}
"""The state that an act leaves; what is not here is refused."""

READ = "read"
DONE, WRONG_STATE, STALE = 200, 409, 412
FIRST = 1
"""The version of an order as it was proposed."""


class Call(NamedTuple):
    """One request about an order: when it was sent and answered (seconds), the version that it says it was shown
    (None: any), and what came back; `version` and `state` are 0 and "" in a refusal."""

    act: str
    sent: float
    answered: float
    shown: int | None
    status: int
    version: int = 0
    state: str = ""


def faults(calls: Sequence[Call]) -> Iterator[str]:
    """What could not have been so, one after the other; nothing where all could."""
    acts = sorted((call for call in calls if call.act != READ and call.status == DONE), key=lambda call: call.version)
    if [call.version for call in acts] != list(range(FIRST + 1, FIRST + 1 + len(acts))):
        yield f"versions {[call.version for call in acts]}: acts were lost, or done twice"
        return
    unknown = [call for call in calls if call.version > FIRST + len(acts)]
    if unknown:
        yield f"{unknown}: versions that no act made"
        return
    states = ["", "proposed"]
    for call in acts:
        if NEXT.get((states[-1], call.act)) != call.state:
            yield f"{call} after {states[-1]}"
        if call.shown not in (None, call.version - 1):
            yield f"{call} was shown another version"
        states.append(call.state)
    for call in calls:
        yield from _of_one(call, _Seen(calls, call), states)


class _Seen:
    """The versions that a call may have met: from the highest that was answered before it was sent, to the highest
    of an act that was sent before it was answered."""

    def __init__(self, calls: Sequence[Call], call: Call) -> None:
        told = (each.version for each in calls if each.status == DONE and each.answered < call.sent)
        begun = (each.version for each in calls if _is_act(each) and each is not call and each.sent < call.answered)
        self.lowest, self.highest = max(told, default=FIRST), max(begun, default=FIRST)


def _is_act(call: Call) -> bool:
    return call.act != READ and call.status == DONE


def _of_one(call: Call, seen: _Seen, states: Sequence[str]) -> Iterator[str]:
    met = range(seen.lowest, max(seen.lowest, seen.highest) + 1)
    if call.status == DONE and call.act == READ:
        if call.version not in met or states[call.version] != call.state:
            yield f"{call}: versions {met} could be read"
    elif call.status == DONE:
        if call.version <= seen.lowest:
            yield f"{call}: version {seen.lowest} had been answered before"
    elif call.status == WRONG_STATE:
        if all((states[each], call.act) in NEXT for each in met):
            yield f"{call}: allowed in each version of {met}"
    elif call.status == STALE:
        if set(met) == {call.shown}:
            yield f"{call}: that was the version all the time"
    else:
        yield f"{call}: not an answer to this"


def overlapping(calls: Sequence[Call]) -> int:
    """How many calls were under way while an earlier one was."""
    ordered = sorted(calls, key=lambda call: call.sent)
    ends = sorted(call.answered for call in ordered)
    return sum(number - bisect_left(ends, call.sent) > 0 for number, call in enumerate(ordered))

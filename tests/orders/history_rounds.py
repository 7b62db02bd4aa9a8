"""Rounds of random histories, many side by side in one database, each on names of its own; the model goes along.

Each round moves the one clock, does what is due, now and then undoes a release, and does one act of each history: as
the service does it and as the model does it. Both allow it, or both refuse it.
"""

import datetime as dt
from random import Random

from app.auth import tokens
from app.errors import AppError
from app.journal.moment import moment
from app.orders import clock as orders_clock
from app.orders.schemas import Undo
from app.orders.undo import Act
from app.publication import undo as releases
from app.publication.models import Release
from resolver_policy.errors import PolicyError
from tests.orders import model
from tests.orders.histories import Change, History, Turn
from tests.orders.history_acts import ACTS, APPROVERS, FITTING, WORD, propose_one, useless
from tests.publication.worlds import GUARD, World
from tests.service import DAY, HOUR

JUMPS = (0 * HOUR, HOUR, HOUR, 6 * HOUR, DAY, DAY, 3 * DAY, 10 * DAY, 30 * DAY, -2 * DAY)
NEW = 0.25
BLIND = 0.2
UNDONE = 0.15
BACK = 4
"""How far back a release is that is undone."""


def play(world: World, histories: list[History], random: Random) -> tuple[dt.datetime, int, int]:
    """A round; the moment that it was, how many acts were done, and how many were refused."""
    world.clock.forward(random.choice(JUMPS))
    done = refused = 0
    with world.database.write() as session:
        now = moment(session, world.clock)
        orders_clock.run_due(session, world.clock)
        for history in histories:
            history.tick(now)
        people = {
            name: tokens.authenticate(session, world.template.tokens[name], now=world.clock())
            for name in ("operator-1", *APPROVERS)
        }
        if random.random() < UNDONE:
            _undo_release(Turn(session, now, people, histories[0]), random.choice(APPROVERS), histories, random)
        for history in histories:
            agreed = _one(Turn(session, now, people, history))
            done, refused = done + agreed, refused + (not agreed)
    return now, done, refused


def _one(turn: Turn) -> bool:
    """One random act of a history, by both; whether it was allowed."""
    random, known = turn.history.random, turn.history.known
    if not known or random.random() < NEW:
        in_service, in_model = propose_one(turn)
    else:
        each = random.choice(known)
        fitting = ACTS if random.random() < BLIND else FITTING[each.order.state]
        in_service, in_model = random.choice(fitting)(turn, each)
    order = row = refused = refusal = None
    try:
        with turn.session.begin_nested():
            row = in_service()
            turn.session.flush()
    except (AppError, PolicyError) as error:
        refused = error
    try:
        order = in_model()
    except model.Refused as error:
        refusal = error
    assert (refused is None) == (refusal is None), (turn.history.domain, in_model, refused)
    assert (row is None) == (order is None), (turn.history.domain, in_model)
    if row is not None and order is not None:
        turn.history.add(row, order, turn.people)
    return refused is None


def _undo_release(turn: Turn, by: str, histories: list[History], random: Random) -> None:
    """Undo one of the last releases: its acts one by one, as far as each can be; by both, to the same effect."""
    known = [release for release in histories[0].releases if any(history.releases[release] for history in histories)]
    if not known:
        return
    release = turn.session.get_one(Release, random.choice(known[-BACK:]))
    items = releases.undo(turn.session, turn.people[by], release, Undo(reason=WORD), turn.now, guard=GUARD, staged={})
    changes = [(each, history) for history in histories for each in history.releases[release.id]]
    for item, (change, history) in zip(items, sorted(changes, key=lambda each: each[0].known.id), strict=True):
        act, proposal = _undone(history, change, by, turn.now)
        assert (item.order.id, item.act) == (change.known.id, act), (history.domain, item.detail)
        if item.proposal is not None and proposal is not None:
            history.add(item.proposal, proposal, turn.people)


def _undone(history: History, change: Change, by: str, now: dt.datetime) -> tuple[str, model.Order | None]:
    order = change.known.order
    if not change.names and change.ends != (order.state == "ended"):
        return releases.UNCHANGED, None
    try:
        proposal = order.undo(now, by, change.names)
        if proposal is not None:
            useless(history, proposal)
            return Act.PROPOSED, proposal
    except model.Refused:
        return releases.REFUSED, None
    return (Act.LIFTED if order.state == "ended" else Act.END_PROPOSED), None

"""Orders made and lifted by the use cases themselves, and what they should add up to, kept beside the database."""

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.auth import tokens
from app.db import Database
from app.errors import Conflict
from app.journal.actor import Actor
from app.orders import clock as orders_clock
from app.orders import decide, guarding, lift, propose
from app.orders.models import Ground, Order
from app.orders.schemas import Decide, Lift, ProposeOrder, TargetIn
from app.publication import zones
from app.publication.follower import Follower
from app.publication.models import Release
from app.publication.publisher import Publisher
from app.publication.store import rules_of_release
from app.settings import Limits, Settings, parse_zones
from resolver_policy.delta import Rule
from resolver_policy.rules import build
from resolver_policy.targets import Decision, Match, Target
from tests.policy.worlds import cells_of, random_name
from tests.service import HOUR, ZONE, FrozenClock, Template, an_order, text_of

GUARD = guarding.load(parse_zones("block.rpz=nxdomain"), Limits(window=dt.timedelta(0)))
"""One that lets any number of names pass without their plan."""

LABELS = ("a", "b", "zz", "a-b", "_s", "0")

Rules = dict[str, Rule]


@dataclass
class Held:
    """An order in force and the targets that it still holds."""

    uid: str
    targets: set[Target]


@dataclass
class World:
    """A database with a publisher; `held` is what the orders in it should hold."""

    database: Database
    publisher: Publisher
    clock: FrozenClock
    template: Template
    settings: Settings
    held: list[Held] = field(default_factory=list)

    def actor(self, session: Session, name: str) -> Actor:
        return tokens.authenticate(session, self.template.tokens[name], now=self.clock())

    def add(self, targets: Iterable[Target], *, expires: bool = False) -> bool:
        """Propose and approve; False where the order would do nothing and was refused."""
        targets = set(targets)
        body = an_order(
            kind="block" if next(iter(targets)).decision is Decision.BLOCK else "exception",
            targets=[{"name": target.name, "match": str(target.match)} for target in targets],
            expires_at=text_of(self.clock() + HOUR) if expires else None,
        )
        try:
            with self.database.write() as session:
                proposer, approver = (self.actor(session, name) for name in ("operator-1", "approver-1"))
                now, guard = self.clock(), GUARD
                order = propose.propose(session, proposer, ProposeOrder.model_validate(body), now, guard=guard)
                decide.approve(session, approver, order, Decide(reason="in order"), now, guard=guard)
                self.held.append(Held(order.uid, targets))
        except Conflict:
            return False
        return True

    def lift(self, held: Held, targets: set[Target] | None = None) -> None:
        """Lift an order, or some of its targets."""
        named = None
        if targets is not None:
            named = tuple(TargetIn(name=target.name, match=target.match) for target in targets)
        with self.database.write() as session:
            order = session.scalars(select(Order).where(Order.uid == held.uid)).one()
            command = Lift(ground=Ground.WRONG_BLOCK, reason="decided", targets=named)
            for name in ("approver-1", "approver-2")[: 1 + (order.kind == "exception")]:
                lift.lift(session, self.actor(session, name), order, command, self.clock())
        held.targets -= targets if targets is not None else held.targets
        self.held = [each for each in self.held if each.targets]

    def expire(self) -> None:
        """Let an hour go by, and with it every order that ends within it."""
        self.clock.forward(HOUR)
        with self.database.write() as session:
            orders_clock.run_due(session, self.clock)
            ended = set(session.scalars(select(Order.uid).where(Order.state == "ended")))
        self.held = [each for each in self.held if each.uid not in ended]

    def publish(self) -> dict[str, int]:
        return self.publisher.publish(self.clock())

    def targets(self) -> list[Target]:
        """Everything that is in force."""
        return [target for held in self.held for target in held.targets]

    def rules(self) -> Rules:
        """The rules that it adds up to, built anew from all of it."""
        return dict(build(cells_of(self.targets())))


def random_act(world: World, random: Random) -> None:
    """One thing that may happen: an order begins, or ends, in whole or in part."""
    kind = random.choice(["add"] * 5 + ["lift"] * 3 + ["part"] * 2 + ["expire"])
    if kind == "add" or not world.held:
        decision = random.choice([Decision.BLOCK, Decision.BLOCK, Decision.PASS])
        names = {_name(world, random) for _ in range(random.randint(1, 4))}
        targets = {Target(name, random.choice(tuple(Match)), decision) for name in names}
        world.add(targets, expires=random.random() < 0.2)
    elif kind == "lift":
        world.lift(random.choice(world.held))
    elif kind == "part":
        held = random.choice(world.held)
        world.lift(held, set(random.sample(sorted(held.targets), random.randint(1, len(held.targets)))))
    else:
        world.expire()


def _name(world: World, random: Random) -> str:
    """A name near those already held, more often than not."""
    known = [target.name for target in world.targets()]
    if known and random.random() < 0.7:
        name = random.choice(known)
        parent = name.partition(".")[2]
        below = f"{random.choice(LABELS)}.{name}"
        return random.choice([name, below, f"{random.choice(LABELS)}.{below}", parent if "." in parent else name])
    return f"{random_name(random, LABELS, 3)}.example"


def check_newest(world: World, follower: Follower, rules: Rules) -> Release:
    """The newest release against what it should be, as a reader, a follower and its own counts see it."""
    with world.database.read() as session:
        release = zones.head(session)
        assert release is not None
        assert dict(rules_of_release(session, release.id)) == rules
        assert release.names == len(rules)
        assert release.rules == sum((rule.own > 0) + (rule.wild > 0) for rule in rules.values())
        assert release.digest == digest_of(rules)
        follower.refresh(session)
    assert dict(follower.zones[ZONE].rules()) == rules
    return release


def digest_of(rules: Rules) -> bytes:
    """The zone digest, from its definition: SHA-256 of the sum, modulo 2**4032, of 504 octets of SHAKE-128 a rule."""
    lines = (f"{key} {int(rule.own)} {int(rule.wild)}" for key, rule in rules.items())
    numbers = (int(hashlib.shake_128(line.encode()).hexdigest(504), 16) for line in lines)
    return hashlib.sha256(int.to_bytes(sum(numbers) % 2**4032, 504, "big")).digest()

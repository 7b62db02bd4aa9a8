"""`pulih order`: the acts of the API, by the same rules, with the token of whoever acts."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
from sqlalchemy.orm import Session

from app.cli.context import acting, at_option, open_database, print_json, settings, token_option, utc_now
from app.errors import Forbidden
from app.journal.actor import Actor, Role
from app.journal.moment import moment
from app.orders import decide as deciding
from app.orders import documents, guarding, limits, past, plan, propose, queries, ranks
from app.orders.guarding import Guard
from app.orders.models import Order, OrderState
from app.orders.schemas import Decide, Withdraw
from app.publication import forecast

STATES = [state.value for state in OrderState if state is not OrderState.IMPORTING]
MOST = 100_000
"""Orders that a list shows."""

READERS = (Role.OPERATOR, Role.APPROVER, Role.AUDITOR)
Command = TypeVar("Command", bound=Callable[..., Any])
Act = Callable[[Session, Actor, Order, dt.datetime], Order]


def reason_option(command: Command) -> Command:
    """`--reason`, which every act needs."""
    return click.option("--reason", required=True, help="Why; one line, kept in the record for ever.")(command)


@click.group()
def order() -> None:
    """Orders, by the number or the id that NUMBER is."""


@order.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only orders in this state.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@at_option
@token_option
def list_orders(state: str | None, at: dt.datetime | None, token_file: Path | None, *, as_json: bool) -> None:
    """All orders, oldest first; with --at those that there were at a moment, as they stood then."""
    narrowed = queries.OrderFilter(state=state)
    with open_database().read() as session:
        reader(session, token_file)
        if at is None:
            summaries = [
                documents.order_summary(each) for each in queries.orders(session, narrowed, after=0, limit=MOST)
            ]
        else:
            then = past.orders(session, narrowed, at, after=0, limit=MOST)
            summaries = [past.summary(session, each, known, at) for each, known in then]
    if as_json:
        print_json(summaries)
        return
    for each in summaries:
        name = each["number"] or each["id"]
        mark = _emergency(each["emergency"])
        click.echo(f"{each['state']:<10} {name:<24} {each['targets_count']:>9} names  {each['category']}{mark}")


@order.command()
@click.argument("number")
@at_option
@token_option
def show(number: str, at: dt.datetime | None, token_file: Path | None) -> None:
    """One order with its names and conditions, as JSON; with --at as it stood at a moment."""
    with open_database().read() as session:
        reader(session, token_file)
        found = queries.order_by_number_or_uid(session, number)
        print_json(documents.order_document(session, found) if at is None else past.document(session, found.uid, at))


@order.command("plan")
@click.argument("number")
@token_option
def show_plan(number: str, token_file: Path | None) -> None:
    """What approving an order would do, as JSON; its plan_hash binds an approval to it."""
    with open_database().read() as session:
        actor, now, guard = reader(session, token_file), utc_now(), load_guard()
        found = queries.order_by_number_or_uid(session, number)
        made = plan.make(session, found, guard=guard)
        sums = limits.sums(session, found, actor, now, guard.limits)
        zone = forecast.document(session, found, made, never=guard.never)
        print_json(plan.document(found, made, now, sums=sums, limits=guard.limits, zone=zone))


@order.command()
@click.argument("number")
@reason_option
@click.option("--plan-hash", help="The plan_hash that `order plan` showed; needed for over 1,000 names.")
@token_option
def approve(number: str, reason: str, plan_hash: str | None, token_file: Path | None) -> None:
    """Put a proposal in force. Not for whoever proposed it."""
    command = Decide(reason=reason, plan_hash=plan_hash)
    guard, prepared = load_guard(), None
    if plan_hash is not None:
        database = open_database()
        with database.read() as session:
            allowed(session, token_file, (Role.APPROVER,))
            uid = queries.order_by_number_or_uid(session, number).uid
        prepared = deciding.prepare(database, uid, guard=guard)
    approving = partial(deciding.approve, guard=guard, prepared=prepared)
    act(
        number,
        token_file,
        (Role.APPROVER,),
        lambda session, actor, found, now: approving(session, actor, found, command, now),
    )


@order.command()
@click.argument("number")
@reason_option
@click.option("--plan-hash", help="The plan_hash that `order plan` showed, where it is needed.")
@token_option
def confirm(number: str, reason: str, plan_hash: str | None, token_file: Path | None) -> None:
    """Let an emergency order stand. Not for whoever issued it."""
    command = Decide(reason=reason, plan_hash=plan_hash)
    confirming = partial(deciding.confirm, guard=load_guard())
    act(
        number,
        token_file,
        (Role.APPROVER,),
        lambda session, actor, found, now: confirming(session, actor, found, command, now),
    )


@order.command()
@click.argument("number")
@reason_option
@token_option
def reject(number: str, reason: str, token_file: Path | None) -> None:
    """Refuse a proposal, for good. Not for whoever proposed it."""
    command = Decide(reason=reason)
    act(
        number,
        token_file,
        (Role.APPROVER,),
        lambda session, actor, found, now: deciding.reject(session, actor, found, command, now),
    )


@order.command()
@click.argument("number")
@reason_option
@token_option
def withdraw(number: str, reason: str, token_file: Path | None) -> None:
    """Take your own proposal back, or an emergency order that nobody confirmed yet."""
    command = Withdraw(reason=reason)
    roles = (Role.OPERATOR, Role.APPROVER)
    act(
        number,
        token_file,
        roles,
        lambda session, actor, found, now: propose.withdraw(session, actor, found, command, now),
    )


def act(number: str, token_file: Path | None, roles: tuple[Role, ...], do: Act) -> None:
    """Do one act in one transaction and print the order's new state."""
    with open_database().write() as session:
        actor = allowed(session, token_file, roles)
        done = do(session, actor, queries.order_by_number_or_uid(session, number), moment(session, utc_now))
        line = f"{done.number or done.uid}: {done.state}" + (f" ({done.ground})" if done.ground else "")
    click.echo(line)


def acting_approver(session: Session, token_file: Path | None) -> Actor:
    """Whoever decides; raises Forbidden for another role."""
    return allowed(session, token_file, (Role.APPROVER,))


def reader(session: Session, token_file: Path | None) -> Actor:
    """Whoever may read orders; raises Forbidden for another role."""
    return allowed(session, token_file, READERS)


def allowed(session: Session, token_file: Path | None, roles: tuple[Role, ...]) -> Actor:
    """The principal whose token was given; raises Forbidden for another role."""
    actor = acting(session, token_file, utc_now())
    if actor.role not in roles:
        raise Forbidden(f"this is for {', '.join(roles)}; {actor.name} is {actor.role}")
    return actor


def load_guard() -> Guard:
    """The guard of this installation, with the names of the rank file that counts."""
    return ranks.up_to_date(open_database(), guarding.load(settings().zone_settings, settings().limits))


def _emergency(document: dict[str, Any] | None) -> str:
    """How a list marks an emergency order."""
    if document is None:
        return ""
    return "  EMERGENCY" + ("" if document["lapses_at"] is None else f", lapses {document['lapses_at']:%Y-%m-%d %H:%M}")

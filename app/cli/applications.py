"""`pulih application`: applications for normalisation, and appeals, by the rules of the API."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from sqlalchemy.orm import Session

from app.cases import completeness, documents, queries, receive
from app.cases import decide as deciding
from app.cases.models import Application, ApplicationState, Standing
from app.cases.schemas import Complete, DecideApplication, Incomplete, Outcome, Receive, WithdrawApplication
from app.cli.context import open_database, print_json, settings, token_option, utc_now
from app.cli.lifts import GROUNDS, commit_option, commitments_of
from app.cli.orders import allowed, reader, reason_option
from app.journal.actor import Actor, Role
from app.journal.moment import moment

CLERKS = (Role.OPERATOR, Role.APPROVER)
Act = Callable[[Session, Actor, Application, dt.datetime], Application]

paper_option = click.option(
    "--paper",
    "papers",
    metavar="CODE=REFERENCE",
    multiple=True,
    help="A paper that came, and where it is filed.",
)


@click.group()
def application() -> None:
    """Applications for normalisation, and appeals, as they came in."""


@application.command("add")
@click.option(
    "--standing", type=click.Choice([each.value for each in Standing]), required=True, help="The applicant's."
)
@click.option("--applicant", required=True, help="Who applies; kept apart from the record.")
@click.option("--contact", required=True, help="How they are reached; kept apart from the record.")
@click.option("--statement", required=True, help="What they say; kept apart from the record.")
@click.option("--order", "order", metavar="NUMBER", help="Number or id of the order that it is about.")
@click.option("--name", "names", multiple=True, help="A name that it is about; may be said again.")
@click.option("--appeal", is_flag=True, help="An appeal, not an application.")
@click.option("--appeal-of", metavar="ID", help="The refused application that the appeal is against.")
@click.option("--received", metavar="TIME", help="When it came in, if before now (RFC 3339).")
@paper_option
@token_option
def add(token_file: Path | None, *, appeal: bool, papers: tuple[str, ...], **fields: object) -> None:
    """Enter one; prints its id, and which papers lack."""
    body = {
        "kind": "appeal" if appeal or fields["appeal_of"] else "application",
        "applicant": {"standing": fields["standing"], "name": fields["applicant"], "contact": fields["contact"]},
        "about": {"order": fields["order"], "names": fields["names"]},
        "appeal_of": fields["appeal_of"],
        "statement": fields["statement"],
        "papers": _papers(papers),
        "received_at": fields["received"],
    }
    command = Receive.model_validate(body)
    with open_database().write() as session:
        actor = allowed(session, token_file, CLERKS)
        now, law = moment(session, utc_now), settings().regime
        done = receive.receive(session, actor, command, now, regime=law)
        line = _line(session, done, now)
    click.echo(line)


@application.command("list")
@click.option("--state", type=click.Choice([each.value for each in ApplicationState]), help="Only these.")
@click.option("--overdue", is_flag=True, help="Only those whose time is over.")
@token_option
def list_applications(state: str | None, token_file: Path | None, *, overdue: bool) -> None:
    """All applications, as JSON, oldest first."""
    now, law = utc_now(), settings().regime
    with open_database().read() as session:
        reader(session, token_file)
        narrowed = queries.ApplicationFilter(state=state, overdue_at=now if overdue else None)
        found = queries.page(session, narrowed, after=0, limit=100_000)
        print_json([documents.summary(session, each, now, regime=law) for each in found])


@application.command("show")
@click.argument("id_", metavar="ID")
@token_option
def show(id_: str, token_file: Path | None) -> None:
    """One application with its papers, as JSON; for auditors without who applied."""
    with open_database().read() as session:
        actor = reader(session, token_file)
        found, law = queries.by_uid(session, id_), settings().regime
        with_applicant = actor.role != Role.AUDITOR
        print_json(documents.document(session, found, utc_now(), regime=law, with_applicant=with_applicant))


@application.command("incomplete")
@click.argument("id_", metavar="ID")
@click.option("--missing", multiple=True, required=True, metavar="CODE", help="A paper that lacks; may be said again.")
@reason_option
@token_option
def incomplete(id_: str, missing: tuple[str, ...], reason: str, token_file: Path | None) -> None:
    """Say which papers lack: the clock stops."""
    command = Incomplete.model_validate({"missing": missing, "reason": reason})
    stopping = partial(completeness.incomplete, regime=settings().regime)
    _act(id_, token_file, CLERKS, lambda session, actor, found, now: stopping(session, actor, found, command, now))


@application.command("complete")
@click.argument("id_", metavar="ID")
@paper_option
@token_option
def complete(id_: str, papers: tuple[str, ...], token_file: Path | None) -> None:
    """Take the papers that lacked: the clock goes on."""
    command = Complete.model_validate({"papers": _papers(papers)})
    going_on = partial(completeness.complete, regime=settings().regime)
    _act(id_, token_file, CLERKS, lambda session, actor, found, now: going_on(session, actor, found, command, now))


@application.command("withdraw")
@click.argument("id_", metavar="ID")
@reason_option
@token_option
def withdraw(id_: str, reason: str, token_file: Path | None) -> None:
    """Note that the applicant took it back."""
    command = WithdrawApplication(reason=reason)
    _act(
        id_,
        token_file,
        CLERKS,
        lambda session, actor, found, now: completeness.withdraw(session, actor, found, command, now),
    )


@application.command("decide")
@click.argument("id_", metavar="ID")
@click.option("--outcome", type=click.Choice([each.value for each in Outcome]), required=True, help="The decision.")
@click.option("--reason-id", required=True, help="Why, in Indonesian.")
@click.option("--reason-en", required=True, help="Why, in English.")
@click.option("--ground", type=click.Choice(GROUNDS), help="The ground of the lift (granted).")
@click.option("--document", help="What the decision rests on.")
@commit_option
@token_option
def decide(
    id_: str,
    outcome: str,
    token_file: Path | None,
    *,
    reason_id: str,
    reason_en: str,
    ground: str | None,
    document: str | None,
    commitments: tuple[str, ...],
) -> None:
    """Grant or refuse. Not for whoever had a part in the block, or entered the application."""
    body = {
        "outcome": outcome,
        "reason": {"id": reason_id, "en": reason_en},
        "ground": ground,
        "document": document,
        "commitments": commitments_of(commitments),
    }
    command = DecideApplication.model_validate(body)
    _act(
        id_,
        token_file,
        (Role.APPROVER,),
        lambda session, actor, found, now: deciding.decide(session, actor, found, command, now),
    )


def _act(id_: str, token_file: Path | None, roles: tuple[Role, ...], do: Act) -> None:
    with open_database().write() as session:
        actor, now = allowed(session, token_file, roles), moment(session, utc_now)
        done = do(session, actor, queries.by_uid(session, id_, lock=True), now)
        line = _line(session, done, now)
    click.echo(line)


def _line(session: Session, found: Application, now: dt.datetime) -> str:
    """The state of an application: what lacks, or until when it is to be decided."""
    told = documents.summary(session, found, now, regime=settings().regime)
    if told["missing"]:
        return f"{found.uid}: {found.state}, missing {', '.join(told['missing'])}"
    due = f", to be decided by {told['clock']['due_at_local']}" if found.state == ApplicationState.RECEIVED else ""
    return f"{found.uid}: {found.state}{due}"


def _papers(texts: tuple[str, ...]) -> list[dict[str, str]]:
    pairs = [text.partition("=") for text in texts]
    return [{"code": code, "reference": reference} for code, _, reference in pairs]

"""`pulih tour`: tokens to try with, and a walk from an order to a lift, to paste."""

import sys
from pathlib import Path

import click
from sqlalchemy.orm import Session

from app.auth import tokens
from app.cli.context import host_actor, open_database, settings, utc_now
from app.errors import SettingInvalid
from app.journal.actor import Role
from app.orders import queries

SAMPLE_ISP = "isp-illustrative-one"

STEPS = """
Tokens, one a role, lie in {folder} (readable by you alone).
HTTP interface:  http://{http}/api/docs

A tour, to paste into another terminal: block try.example, look, and lift it again.

cd {here}
N=TRY-$(date +%s)
cat > try.toml <<END
number = "$N"
dated = 2026-11-01
authority = "Example Ministry"
kind = "block"
category = "gambling"
review_due_at = 2036-11-01T00:00:00Z
legal_basis = [{{ instrument = "Example Act", article = "1" }}]
reason = {{ id = "Contoh", en = "An example" }}
sop = {{ code = "domain-owner" }}
END
echo try.example > try.txt
PULIH_TOKEN=$(cat {folder}/operator) {pulih} import try.txt --order-file try.toml
PULIH_TOKEN=$(cat {folder}/approver) {pulih} order approve $N --reason "Checked"
{pulih} explain www.try.example
PULIH_TOKEN=$(cat {folder}/approver) {pulih} order lift $N --ground wrong_block --reason "Only a try"
{pulih} explain www.try.example
"""


@click.command()
def tour() -> None:
    """Make one token a role (once, on a database that holds the sample) and print a tour to paste."""
    chosen = settings()
    folder = chosen.data_dir.absolute() / "tokens"
    with open_database().write() as session:
        if not queries.holds_sample(session):
            raise SettingInvalid("the tour is for a database with the sample case: pulih sample telegram-2017")
        for role in (Role.OPERATOR, Role.APPROVER, Role.AUDITOR, Role.PLATFORM, Role.ADMIN):
            _write_token(session, folder / role.value, role, f"try-{role.value}")
        _write_token(session, folder / Role.ISP.value, Role.ISP, SAMPLE_ISP)
    click.echo(STEPS.format(folder=folder, http=chosen.http, here=Path.cwd(), pulih=_command()))


def _write_token(session: Session, path: Path, role: Role, name: str) -> None:
    """Make a role's token where its file is not there yet."""
    if path.exists():
        return
    text = tokens.create(session, host_actor(), role=role, name=name, expires_at=None, now=utc_now())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text + "\n", "utf-8")


def _command() -> str:
    """How this program was called, as a path that works from anywhere."""
    return str(Path(sys.argv[0]).absolute())

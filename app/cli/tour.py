"""`pulih tour`: tokens to try with, and a walk from an order to a lift, to paste."""

from pathlib import Path

import click
from sqlalchemy.orm import Session

from app.auth import tokens
from app.cli.context import host_actor, open_database, settings, utc_now
from app.errors import SettingInvalid
from app.journal.actor import Role
from app.orders import queries

STEPS = """
Tokens, one a role, lie in {folder} (readable by you alone).
HTTP interface:  http://{http}/api/docs

A tour, to paste into another terminal: block try.example, look, and lift it again.

cd {here}
cat > try.toml <<'END'
number = "TRY-1"
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
PULIH_TOKEN=$(cat {folder}/approver) {pulih} order approve TRY-1 --reason "Checked"
{pulih} explain www.try.example
PULIH_TOKEN=$(cat {folder}/approver) {pulih} order lift TRY-1 --ground wrong_block --reason "Only a try"
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
            _write_token(session, folder / role.value, role)
    click.echo(STEPS.format(folder=folder, http=chosen.http, here=Path.cwd(), pulih=_command()))


def _write_token(session: Session, path: Path, role: Role) -> None:
    """Make a role's token where its file is not there yet."""
    if path.exists():
        return
    name = f"try-{role.value}"
    text = tokens.create(session, host_actor(), role=role, name=name, expires_at=None, now=utc_now())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text + "\n", "utf-8")


def _command() -> str:
    """How this program is called from here."""
    local = Path(".venv/bin/pulih")
    return str(local) if local.exists() else "pulih"

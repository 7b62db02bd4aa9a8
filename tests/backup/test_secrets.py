"""What is never in a backup, in clear: tokens, TSIG secrets, the key files, the database's password."""

import base64
import json
import zipfile
from pathlib import Path

from app.auth import tokens
from app.journal import signing
from app.journal.actor import Role
from tests.backup.worlds import backed_up, run
from tests.policy.scale import Record, scaled, tell
from tests.publication.worlds import World
from tests.service import HOST

PLANTED = 100


def test_no_token_stands_in_it_and_no_key(world: World, tmp_path: Path, record_property: Record) -> None:
    signing.start(world.database, world.settings, world.clock)
    with world.database.write() as session:
        made_now = [
            tokens.create(session, HOST, role=Role.AUDITOR, name=f"a-{each}", expires_at=None, now=world.clock())
            for each in range(scaled(PLANTED))
        ]
    secrets = [*world.template.tokens.values(), *made_now]
    key = world.settings.log_key_path.read_bytes()
    made = backed_up(world, tmp_path / "a.backup")

    found = contents(made.path)
    for secret in secrets:
        for part in (secret, secret.removeprefix("pulih_")):
            assert part.encode() not in found
    check_absent(key, found)
    tell(record_property, planted_secrets=len(secrets) + 1)


def test_no_tsig_secret_stands_in_it_nor_the_key_that_opens_them(world: World, tmp_path: Path) -> None:
    settings = world.settings
    added = json.loads(
        run(settings, "subscriber", "add", "isp-one", "--address", "127.0.0.1/32", "--tsig", "--json").output
    )
    made = backed_up(world, tmp_path / "a.backup")

    found = contents(made.path)
    check_absent(base64.b64decode(added["tsig"]["secret"]), found)
    check_absent(settings.secret_key_path.read_bytes(), found)
    assert added["token"].encode() not in found


def contents(path: Path) -> bytes:
    """Every octet of the file, and of what is packed in it."""
    with zipfile.ZipFile(path) as packed:
        return b"\n".join([path.read_bytes(), *(packed.read(name) for name in packed.namelist())])


def check_absent(secret: bytes, found: bytes) -> None:
    """As octets, in hexadecimal and in base64."""
    for text in (secret, secret.hex().encode(), base64.b64encode(secret), base64.urlsafe_b64encode(secret)):
        assert text.rstrip(b"=") not in found

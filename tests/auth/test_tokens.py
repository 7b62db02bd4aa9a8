"""Tokens: shown once, stored hashed, dead the moment they expire or are revoked."""

import datetime as dt
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from app.auth import tokens
from app.auth.models import Principal, Token
from app.db import Database
from app.errors import AppError, Conflict, NotFound, Unauthenticated, Unprocessable
from app.journal.actor import Role
from app.settings import Settings
from tests import databases
from tests.service import HOST, HOUR, NOW, Service, problem


def make(
    database: Database, name: str = "new-1", role: Role = Role.AUDITOR, expires_at: dt.datetime | None = None
) -> str:
    with database.write() as session:
        return tokens.create(session, HOST, role=role, name=name, expires_at=expires_at, now=NOW)


def newest(database: Database) -> tuple[Token, Principal]:
    with database.read() as session:
        return tokens.listing(session)[-1]


def revoke(database: Database, token_id: int) -> None:
    with database.write() as session:
        tokens.revoke(session, HOST, token_id=token_id, now=NOW)


def status(service: Service, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return service.request("GET", "orders", by=None, headers=headers).status_code


def test_a_token_lets_its_holder_in(service: Service) -> None:
    assert status(service, make(service.database)) == 200


def test_a_token_has_a_prefix_that_a_scanner_finds_and_256_random_bits(database: Database) -> None:
    text, other = make(database), make(database)

    assert text.startswith("pulih_")
    assert len(text.removeprefix("pulih_")) == 43
    assert text != other


def test_no_file_of_the_service_holds_the_text_of_a_token(service: Service, settings: Settings) -> None:
    text = make(service.database)
    assert status(service, text) == 200
    files = [path for path in settings.data_dir.rglob("*") if path.is_file()]

    if databases.KIND == "sqlite":
        assert any(tokens.digest(text) in path.read_bytes() for path in files)
    for path in files:
        octets = path.read_bytes()
        assert text.encode() not in octets
        assert text.removeprefix("pulih_").encode() not in octets


def test_a_list_of_tokens_shows_no_text_and_no_digest(database: Database) -> None:
    make(database)

    token, principal = newest(database)

    assert (principal.name, principal.role, token.expires_at, token.revoked_at) == ("new-1", "auditor", None, None)


def test_a_token_expires_at_its_moment(service: Service) -> None:
    text = make(service.database, expires_at=NOW + HOUR)
    service.clock.forward(HOUR - dt.timedelta(microseconds=1))
    assert status(service, text) == 200

    service.clock.forward(dt.timedelta(microseconds=1))

    assert status(service, text) == 401


def test_a_revoked_token_is_refused_on_the_very_next_request(service: Service) -> None:
    text = make(service.database)
    assert status(service, text) == 200

    revoke(service.database, newest(service.database)[0].id)

    headers = {"Authorization": f"Bearer {text}"}
    answer = problem(service.request("GET", "orders", by=None, headers=headers), 401, "token_invalid")
    assert answer["detail"] == "the token has been revoked"


def test_revoking_one_token_leaves_the_others_of_its_principal(service: Service) -> None:
    first, second = make(service.database), make(service.database)
    revoke(service.database, newest(service.database)[0].id)

    assert (status(service, first), status(service, second)) == (200, 401)


@pytest.mark.parametrize("header", ["pulih_x", "Basic eDp5", "Bearer", "Bearer pulih_", ""])
def test_another_header_than_a_bearer_token_is_refused(service: Service, header: str) -> None:
    response = service.request("GET", "categories", by=None, headers={"Authorization": header})

    problem(response, 401, "token_invalid")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_the_scheme_is_read_in_any_case(service: Service) -> None:
    headers = {"Authorization": f"bEARER {service.tokens['auditor-1']}"}

    assert service.request("GET", "orders", by=None, headers=headers).status_code == 200


def test_the_same_name_again_adds_a_token_of_the_same_principal(database: Database) -> None:
    make(database)
    first = newest(database)[1].id
    make(database)

    assert newest(database)[1].id == first


@pytest.mark.parametrize(
    ("name", "role", "expires_at", "error"),
    [
        ("operator-1", Role.APPROVER, None, Conflict),
        ("New-1", Role.AUDITOR, None, Unprocessable),
        ("", Role.AUDITOR, None, Unprocessable),
        ("a" * 64, Role.AUDITOR, None, Unprocessable),
        ("new-1", Role.AUDITOR, NOW, Unprocessable),
    ],
    ids=["another role", "upper case", "no name", "too long", "expired already"],
)
def test_a_token_that_makes_no_sense_is_not_made(
    database: Database, name: str, role: Role, expires_at: dt.datetime | None, error: type[AppError]
) -> None:
    with pytest.raises(error):
        make(database, name, role, expires_at)
    with database.read() as session:
        assert len(tokens.listing(session)) == 8


def test_a_token_is_revoked_once(database: Database) -> None:
    make(database)
    token_id = newest(database)[0].id
    revoke(database, token_id)

    with pytest.raises(Conflict):
        revoke(database, token_id)
    with pytest.raises(NotFound):
        revoke(database, 999)


def test_making_and_revoking_are_events_without_the_secret(service: Service) -> None:
    text = make(service.database, expires_at=NOW + HOUR)
    token_id = newest(service.database)[0].id
    revoke(service.database, token_id)

    created, revoked = service.events()
    assert (created["type"], created["actor"]) == (
        "token.created",
        {"name": "host:root", "role": "host", "token": None},
    )
    assert created["facts"] == {
        "token": token_id,
        "principal": "new-1",
        "role": "auditor",
        "expires_at": "2026-11-22T04:00:00.000000Z",
    }
    assert (revoked["type"], revoked["facts"]) == ("token.revoked", {"token": token_id})
    assert text not in str([created, revoked])


def test_the_database_keeps_a_token_revoked_and_with_its_holder(database: Database) -> None:
    make(database)
    live = newest(database)[0].id
    make(database)
    revoked = newest(database)[0].id
    revoke(database, revoked)

    for statement in (
        f"UPDATE tokens SET revoked_at = NULL WHERE id = {revoked}",
        f"UPDATE tokens SET principal_id = 1 WHERE id = {live}",
        f"UPDATE tokens SET digest = x'00' WHERE id = {live}",
        f"DELETE FROM tokens WHERE id = {live}",
    ):
        with pytest.raises(IntegrityError, match="a token is"):
            databases.run(database, statement)


def test_the_database_keeps_the_role_of_a_principal(database: Database) -> None:
    for statement in (
        "UPDATE principals SET role = 'approver' WHERE name = 'operator-1'",
        "DELETE FROM principals WHERE name = 'operator-1'",
        "INSERT OR REPLACE INTO principals SELECT id, name, 'approver', created_at FROM principals WHERE id = 1",
        "INSERT INTO principals (name, role, created_at) VALUES ('x', 'king', '2026-01-01 00:00:00.000000')",
    ):
        with pytest.raises(IntegrityError):
            databases.run(database, statement)


def test_an_unknown_token_is_refused(database: Database) -> None:
    with database.read() as session, pytest.raises(Unauthenticated):
        tokens.authenticate(session, "pulih_nonsense", now=NOW)


def test_nothing_of_a_token_is_logged(service: Service, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with caplog.at_level("DEBUG"):
        text = make(service.database)
        status(service, text)

    assert text not in caplog.text
    assert not list(tmp_path.glob("*.log"))

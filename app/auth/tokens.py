"""Making, checking and revoking tokens: shown once, stored hashed, dead the moment they are revoked."""

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.auth.models import Principal, Token
from app.errors import Conflict, NotFound, Unauthenticated, Unprocessable
from app.journal.actor import Actor, Role
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.journal.moment import settled

PREFIX = "pulih_"
"""Lets a scanner find a token that leaked into a file."""

PRINCIPAL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_ENTROPY_OCTETS = 32


def create(
    session: Session,
    actor: Actor,
    *,
    role: Role,
    name: str,
    expires_at: dt.datetime | None,
    now: dt.datetime,
    addresses: Sequence[str] = (),
) -> str:
    """Make a token for the principal `name`, and the principal where it is new; return the token's text.

    `addresses` are the networks that it is good from (none named: everywhere). Raises Unprocessable for a name that is
    not `[a-z0-9._-]{1,63}`, an expiry that has passed or what is no network, Conflict where the principal has another
    role.
    """
    networks = [_network(text) for text in addresses]
    principal = _principal(session, role, name, now)
    if expires_at is not None and expires_at <= now:
        raise Unprocessable(f"the expiry {timestamp(expires_at)} has passed")
    text = PREFIX + secrets.token_urlsafe(_ENTROPY_OCTETS)
    token = Token(
        principal_id=principal.id,
        digest=digest(text),
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
        addresses=" ".join(networks) or None,
    )
    session.add(token)
    session.flush()
    facts = {
        "token": token.id,
        "principal": name,
        "role": str(role),
        "expires_at": None if expires_at is None else timestamp(expires_at),
        **({"addresses": networks} if networks else {}),
    }
    append(session, actor, Entry(EventType.TOKEN_CREATED, facts), now)
    return text


def revoke(session: Session, actor: Actor, *, token_id: int, now: dt.datetime) -> None:
    """End a token; raises NotFound where there is none, Conflict where it has been ended before."""
    token = session.get(Token, token_id, with_for_update=True)
    if token is None:
        raise NotFound(f"there is no token {token_id}")
    if token.revoked_at is not None:
        raise Conflict(f"token {token_id} was revoked at {timestamp(token.revoked_at)}")
    token.revoked_at = now
    append(session, actor, Entry(EventType.TOKEN_REVOKED, {"token": token_id}), now)


def authenticate(session: Session, text: str, *, now: dt.datetime, address: str | None = None) -> Actor:
    """Who holds this token; raises Unauthenticated where it is unknown, revoked, expired (also by a clock that was
    set back since) or used from elsewhere than it is good for. `address` None is the host itself."""
    query = select(Token, Principal).join(Principal, Principal.id == Token.principal_id)
    row = session.execute(query.where(Token.digest == digest(text))).one_or_none()
    if row is None:
        raise Unauthenticated("no such token")
    token, principal = row
    if token.revoked_at is not None:
        raise Unauthenticated("the token has been revoked")
    if token.expires_at is not None and token.expires_at <= settled(session, now):
        raise Unauthenticated("the token has expired")
    if token.addresses is not None and address is not None and not _is_within(address, token.addresses.split()):
        raise Unauthenticated(f"the token is not good from {address}")
    return Actor(principal.name, principal.role, principal.id, token.id, address)


def listing(session: Session) -> Sequence[tuple[Token, Principal]]:
    """Every token ever made, with its principal, in the order of making."""
    query = select(Token, Principal).join(Principal, Principal.id == Token.principal_id).order_by(Token.id)
    return [(token, principal) for token, principal in session.execute(query)]


def digest(text: str) -> bytes:
    """What is stored of a token. It holds 256 random bits, so a fast hash is enough: there is nothing to guess."""
    return hashlib.sha256(text.encode()).digest()


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise Unprocessable(f"{text[:80]!r} is not an address or a network, such as 192.0.2.0/24: {error}") from error


def _is_within(address: str, networks: Sequence[str]) -> bool:
    try:
        read = ip_address(address)
    except ValueError:
        return False
    mapped = read.ipv4_mapped if isinstance(read, IPv6Address) else None
    return any((mapped or read) in ip_network(network) for network in networks)


def _principal(session: Session, role: Role, name: str, now: dt.datetime) -> Principal:
    if not PRINCIPAL_NAME.fullmatch(name):
        raise Unprocessable(
            f"{name[:80]!r} is not a principal's name: lower-case letters, digits, dot, hyphen, 63 at most"
        )
    principal = session.scalars(select(Principal).where(Principal.name == name)).one_or_none()
    if principal is None:
        principal = Principal(name=name, role=str(role), created_at=now)
        session.add(principal)
        session.flush()
    if principal.role != role:
        raise Conflict(f"{name} is {principal.role}, and a principal keeps its role")
    return principal

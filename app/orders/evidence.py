"""Evidence: texts and files that show a condition to be fulfilled, kept as they came, sealed once it is met.

It is added with a claim and, as long as nobody has judged that, by whoever made it. Files are of a few kinds, known by
their octets; how many pieces a condition has, and how large they are together, is limited.
"""

import base64
import datetime as dt
import hashlib
import uuid
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Fault, Forbidden, NotFound, TooLarge, Unprocessable, WrongMediaType
from app.journal.actor import Actor, Role
from app.orders import media
from app.orders.models import ConditionRow, Evidence
from app.orders.schemas import MAX_EVIDENCE_OCTETS, EvidenceFile, EvidenceIn

MOST_PIECES = 20
MOST_OCTETS = 8 * MAX_EVIDENCE_OCTETS
"""Of all evidence of one condition: pieces, and octets of their texts and files."""

SHA256_PREFIX = "sha256:"


def keep(
    session: Session, actor: Actor, condition: ConditionRow, evidence: EvidenceIn, now: dt.datetime
) -> dict[str, object]:
    """Store a piece of evidence, and give what the journal is to say of it.

    Raises Unprocessable, TooLarge or WrongMediaType, naming the rule, and then nothing is kept.
    """
    if evidence.text is None and evidence.file is None:
        raise Unprocessable("evidence is a text, a file, or both", faults=(Fault("evidence", pointer="/evidence"),))
    content, kind = (None, None) if evidence.file is None else _read(evidence.file)
    _check_room(session, condition, _size(evidence.text, content))
    digest = evidence_digest(evidence.text, content)
    assert actor.principal_id is not None
    session.add(
        Evidence(
            uid=str(uuid.uuid4()),
            condition_id=condition.id,
            submitted_at=now,
            submitted_by_id=actor.principal_id,
            sha256=digest,
            text=evidence.text,
            file_name=None if evidence.file is None else evidence.file.name,
            file_type=None if kind is None else kind.type,
            file_size=None if content is None else len(content),
            file_content=content,
        )
    )
    return {"evidence": SHA256_PREFIX + digest.hex()}


def evidence_digest(text: str | None, content: bytes | None) -> bytes:
    """SHA-256 of the text's UTF-8 octets; of the file's octets, where there is only a file; of both hashes else."""
    parts = [part for part in (None if text is None else text.encode(), content) if part is not None]
    digests = [hashlib.sha256(part).digest() for part in parts]
    return digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()


def digests(session: Session, condition: ConditionRow) -> list[str]:
    """The hashes of all evidence of a condition, oldest first: what whoever verified it has seen."""
    query = select(Evidence.sha256).where(Evidence.condition_id == condition.id).order_by(Evidence.id)
    return [SHA256_PREFIX + digest.hex() for digest in session.scalars(query)]


def check_adder(actor: Actor, condition: ConditionRow) -> None:
    """Raise Forbidden for anybody but the claimant: who adds evidence does not verify it."""
    if actor.principal_id != condition.claimed_by_id:
        raise Forbidden(f"{actor.name} did not make this claim: whoever did adds evidence to it")


def visible(session: Session, actor: Actor, condition: ConditionRow) -> Sequence[Evidence]:
    """The evidence of a condition that somebody may see, oldest first: a platform what it submitted itself."""
    query = select(Evidence).where(Evidence.condition_id == condition.id).order_by(Evidence.id)
    if actor.role == Role.PLATFORM:
        query = query.where(Evidence.submitted_by_id == actor.principal_id)
    return session.scalars(query).all()


def file_of(session: Session, actor: Actor, condition: ConditionRow, uid: str) -> tuple[Evidence, bytes]:
    """A piece of evidence with the octets of its file; raises NotFound, also where it is not this platform's."""
    for item in visible(session, actor, condition):
        if item.uid == uid and item.file_content is not None:
            return item, item.file_content
    raise NotFound(f"there is no file of evidence {uid[:60]}")


def _read(file: EvidenceFile) -> tuple[bytes, media.Media]:
    content = base64.b64decode(file.content)
    if len(content) > MAX_EVIDENCE_OCTETS:
        raise TooLarge(f"the file has {len(content)} octets, {MAX_EVIDENCE_OCTETS} are allowed")
    kind = media.of(content)
    if kind is None:
        allowed = ", ".join(each.type.partition(";")[0] for each in media.ALLOWED)
        fault = Fault("media_type", file.name, "/evidence/file/content")
        raise WrongMediaType(f"the octets of {file.name} are none of {allowed}, from begin to end", faults=(fault,))
    return content, kind


def _check_room(session: Session, condition: ConditionRow, size: int) -> None:
    octets = func.coalesce(func.length(Evidence.text), 0) + func.coalesce(Evidence.file_size, 0)
    query = select(func.count(), func.coalesce(func.sum(octets), 0)).where(Evidence.condition_id == condition.id)
    pieces, kept = session.execute(query).one()
    if pieces >= MOST_PIECES:
        raise TooLarge(f"condition {condition.code} has {pieces} pieces of evidence, {MOST_PIECES} are allowed")
    if kept + size > MOST_OCTETS:
        raise TooLarge(f"the evidence of {condition.code} would have {kept + size} octets, {MOST_OCTETS} are allowed")


def _size(text: str | None, content: bytes | None) -> int:
    return len(text or "") + len(content or b"")

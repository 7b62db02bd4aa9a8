"""Two different people: compared by principal, never by token."""

from app.errors import Forbidden
from app.journal.actor import Actor


def check(actor: Actor, first_principal_id: int | None, *, act: str, first_act: str) -> None:
    """Raise Forbidden where the one who acts now is the one who did the first act."""
    if actor.principal_id is not None and actor.principal_id == first_principal_id:
        raise Forbidden(f"{actor.name} {first_act} it, so somebody else must {act} it", code="four_eyes")

"""The kinds of event; a kind is never renamed and never reused."""

from enum import StrEnum


class EventType(StrEnum):
    """What happened, as `subject.past_tense`."""

    ORDER_PROPOSED = "order.proposed"
    ORDER_APPROVED = "order.approved"
    ORDER_REJECTED = "order.rejected"
    ORDER_WITHDRAWN = "order.withdrawn"
    ORDER_ACTIVATED = "order.activated"
    ORDER_ENDED = "order.ended"
    ORDER_LIFTED_IN_PART = "order.lifted_in_part"
    ORDER_LIFT_PLANNED = "order.lift_planned"
    CONDITION_CLAIMED = "condition.claimed"
    CONDITION_MET = "condition.met"
    CONDITION_REJECTED = "condition.rejected"
    CONDITION_WAIVED = "condition.waived"
    TOKEN_CREATED = "token.created"  # noqa: S105 - the name of an event
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an event
    SUBSCRIBER_ADDED = "subscriber.added"
    SUBSCRIBER_CHANGED = "subscriber.changed"
    SUBSCRIBER_REMOVED = "subscriber.removed"
    SUBSCRIBER_KEY_ROTATED = "subscriber.key_rotated"
    SUBSCRIBER_CONFIG_PRINTED = "subscriber.config_printed"
    SUBSCRIBER_ACKNOWLEDGED = "subscriber.acknowledged"
    SUBSCRIBER_SERVER_FORGOTTEN = "subscriber.server_forgotten"
    SUBSCRIBER_OVERDUE = "subscriber.overdue"
    SUBSCRIBER_RECOVERED = "subscriber.recovered"
    ZONE_ADDED = "zone.added"
    ZONE_CHANGED = "zone.changed"
    ZONE_RETIRED = "zone.retired"
    ZONE_FLOOR_SET = "zone.floor_set"
    ZONE_SERIALS_MOVED = "zone.serials_moved_forward"
    BASE_ASKED = "base.asked"
    BASE_CUT = "base.cut"
    BASE_LATE = "base.late"
    BASE_DROPPED = "base.dropped"
    SAMPLE_LOADED = "sample.loaded"
    SAMPLE_NOTED = "sample.noted"

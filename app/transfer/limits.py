"""How much one client may take: connections, time, and memory of the system."""

from dataclasses import dataclass

from app.transfer.notify import PAUSES


@dataclass(frozen=True, slots=True)
class Limits:
    """Connections in all, of strangers, of one subscriber and of one address; times in seconds, buffers in octets.

    A connection may rest `known_idle` between queries and while it does not read; a message, once begun, must
    end within `message`. Where there is no room, the connection longest without progress gives way, if it had
    none for `gives_way_after`. A stranger's connection that is older than `unknown_grace` must have moved
    `unknown_rate` octets in each second of its life. A NOTIFY without an answer is repeated after each of
    `notify_pauses`.
    """

    connections: int = 4096
    unknown_connections: int = 256
    per_subscriber: int = 1024
    per_known_address: int = 1024
    per_unknown_address: int = 8
    gives_way_after: float = 10
    known_idle: float = 120
    unknown_idle: float = 5
    message: float = 10
    unknown_grace: float = 30
    unknown_rate: int = 10 * 1024
    send_buffer: int = 256 * 1024
    receive_buffer: int = 16 * 1024
    notify_pauses: tuple[float, ...] = PAUSES

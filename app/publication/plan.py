"""What the process that writes files is told."""

import json
from dataclasses import dataclass
from pathlib import Path

from app.publication.snapshot import Identity


@dataclass(frozen=True, slots=True)
class Plan:
    """A file to write: of what, where, and whether what lies there may be built on."""

    database: str
    path: Path
    zone_id: int
    identity: Identity
    anew: bool = False

    def dump(self) -> bytes:
        """Write it down in one line."""
        document = {"database": self.database, "path": str(self.path), "zone_id": self.zone_id, "anew": self.anew}
        return json.dumps({**document, "identity": self.identity.dump().decode()}).encode() + b"\n"

    @classmethod
    def load(cls, line: bytes) -> "Plan":
        """Read it back."""
        document = json.loads(line)
        document["path"], document["identity"] = Path(document["path"]), Identity.load(document["identity"].encode())
        return cls(**document)

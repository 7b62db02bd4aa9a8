"""`kill -9` of the running service, at any moment: no change that was answered is lost, and no serial goes back."""

from pathlib import Path

import pytest

from tests.policy.scale import Record, scaled, seeded, tell
from tests.rigs.checks import check_database
from tests.rigs.loop import Loop, installed
from tests.rigs.secondaries import secondaries
from tests.service import Template

pytestmark = pytest.mark.long

KILLS = 50
"""Of each of two loops, which may run side by side: a hundred, and in full six times as many."""

MOST_CHANGES = 60
"""Between a start and the next kill; six times as many in full, some hundred thousand together."""


@pytest.mark.parametrize("loop", ["first", "second"])
def test_nothing_that_was_answered_is_lost(
    loop: str, tmp_path: Path, template: Template, record_property: Record
) -> None:
    with installed(tmp_path, template) as running, secondaries(running.installation) as servers:
        rig = Loop(running, servers, seeded(f"kills {loop}"))
        rig.start()
        with servers.watched():
            while rig.blows < scaled(KILLS):
                rig.round(scaled(MOST_CHANGES), one_by_one=rig.chance.random() < 0.8)
        check_database(running)
    tell(
        record_property,
        kills=rig.blows,
        changes_answered=rig.ledger.answered,
        sent_again=rig.ledger.sent_again,
        serials_looked_at=servers.looks,
    )

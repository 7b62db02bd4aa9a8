"""Whatever happens to orders, in whatever order, `pulih fsck` finds nothing wrong: the journal says it all."""

from random import Random

import pytest

from tests.fsck.looking import wrong
from tests.orders.histories import History
from tests.orders.history_rounds import play
from tests.policy.scale import Record, scaled, seeded, tell
from tests.publication.worlds import World, random_act

pytestmark = pytest.mark.long

SIDE_BY_SIDE, ROUNDS, ACTS = 8, 14, 60


@pytest.mark.usefixtures("many_lives")
@pytest.mark.parametrize("seed", range(scaled(1)))
def test_nothing_is_found_wrong_in_a_random_history(world: World, seed: int, record_property: Record) -> None:
    random, acts = seeded(f"fsck {seed}"), 0
    histories = [History(f"h{number}.example", Random(random.random())) for number in range(SIDE_BY_SIDE)]
    for turn in range(ROUNDS):
        _, done, _ = play(world, histories, random)
        acts += done
        if turn % 3:  # now and then acts wait to be published
            world.publish()
        assert wrong(world) == {}
    tell(record_property, fsck_histories=SIDE_BY_SIDE, acts=acts)


def test_nothing_is_found_wrong_while_names_overlap(world: World) -> None:
    random = Random(11)
    for turn in range(scaled(ACTS)):
        random_act(world, random)
        if turn % 4 == 0:
            world.publish()
        if turn % 5 == 0:
            assert wrong(world) == {}

"""`base` and `urgent` side by side, looked up as four kinds of resolver do, in every state that an ISP may be in.

A history of heads is published; bases are cut at some of them. Servers take what is new in whatever order, and a base
is live until every server has a newer one.
"""

from collections.abc import Callable, Collection, Iterator, Mapping

import pytest

from resolver_policy import layers
from resolver_policy.delta import EMPTY_RULE, Change, diff
from resolver_policy.names import from_key, sort_key
from resolver_policy.rules import Cell, Rule
from resolver_policy.targets import Decision, Match, Target, decide
from tests.policy.layered import EMPTY_CELL, Cells, MemoryLayers, kept_up, let_go, rules_of_cells, urgent_of
from tests.policy.lookups import MODELS, Lookup, in_turn, records
from tests.policy.scale import Record, scaled, seeded, tell
from tests.policy.worlds import LABELS, queries, random_name
from tests.policy.zones import Rules

BLOCK, PASS, NOTHING = Decision.BLOCK, Decision.PASS, Decision.NOTHING

HISTORIES = scaled(16)
RELEASES = 24
QUERIES = 26
SERVERS = 4

Rebuild = Callable[["History"], Rules]


class History:
    """Heads as cells, what was published of each, and servers that have a mixture of it."""

    def __init__(self, seed: object) -> None:
        self.random = seeded(seed)
        labels = self.random.sample(LABELS, self.random.randint(2, 4))
        self.names = [random_name(self.random, labels, 5) for _ in range(self.random.randint(4, 26))]
        self.cells: list[Cells] = [{}]
        self.rules: list[Rules] = [{}]
        self.urgent: list[Rules] = [{}]
        self.live: list[int] = [0]
        self.servers = [[0, 0] for _ in range(SERVERS)]
        self._said: dict[tuple[str, int], Decision] = {}
        self.lookups = self.mixtures = self.rebases = self.portions = 0
        self.let_go_until: str | None = None
        for _ in range(self.random.choice((0, 3, 10))):  # the first base is seldom an empty one
            self.cells[0] = self._toggled(self.cells[0])
        self.rules[0] = rules_of_cells(self.cells[0])

    @property
    def head(self) -> int:
        return len(self.cells) - 1

    def bases(self) -> list[Cells]:
        return [self.cells[release] for release in self.live]

    def release(self) -> None:
        """Publish a head, let servers take what they will, and let go of bases that none of them needs."""
        cells = self.cells[-1]
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 6))):
            cells = self._toggled(cells)
        self.cells.append(cells)
        self.rules.append(rules_of_cells(cells))
        needed = min(base for _, base in self.servers)
        if self.live[0] < needed:
            self.live = [release for release in self.live if release >= needed]
            self.rebases += 1
            self.let_go_until = ""
        bases = [self.rules[release] for release in self.live]
        batch = self.random.choice((1, 2, 400))
        urgent = kept_up(self.rules[-2], self.rules[-1], bases, self.urgent[-1], batch)
        if self.let_go_until is not None:
            most = self.random.choice((1, 2, 400))
            urgent, self.let_go_until = let_go(self.rules[-1], bases, urgent, self.let_go_until, most)
            self.portions += 1
        self.urgent.append(urgent)
        if self.random.random() < 0.2:
            self.live.append(self.head)
        for server in self.servers:
            if self.random.random() < 0.6:
                server[0] = self.random.randint(server[0], self.head)
            if self.random.random() < 0.4:
                server[1] = self.random.choice([release for release in self.live if release >= server[1]])

    def _toggled(self, cells: Cells) -> Cells:
        key = sort_key(self.random.choice(self.names))
        exact, subtree = cells.get(key, EMPTY_CELL)
        said = self.random.choice((NOTHING, NOTHING, BLOCK, BLOCK, PASS))
        cell = Cell(said, subtree) if self.random.random() < 0.5 else Cell(exact, said)
        return {name: each for name, each in {**cells, key: cell}.items() if each != EMPTY_CELL}

    def said(self, name: str, release: int) -> Decision:
        """What a head says of a name, by the definition."""
        if (name, release) not in self._said:
            self._said[name, release] = decide(name, targets_of(self.cells[release]))
        return self._said[name, release]

    def asked(self) -> list[str]:
        everything = [target for release in (self.head, *self.live) for target in targets_of(self.cells[release])]
        return queries(everything, self.random, QUERIES) if everything else [*LABELS]


def targets_of(cells: Cells) -> list[Target]:
    return [
        Target(from_key(key), match, decision)
        for key, cell in cells.items()
        for match, decision in zip(Match, cell, strict=True)
        if decision is not NOTHING
    ]


def pair(model: str, urgent: Rules, base: Rules) -> Lookup:
    look_up = MODELS[model]
    return in_turn(look_up(records(urgent.items()), NOTHING), look_up(records(base.items()), PASS))


def wrong_answers(history: History, urgent: Rules) -> Iterator[str]:
    """One line for each answer that no rule allows; `urgent` is what the newest release has in it."""
    names = history.asked()
    for base in history.live:
        yield from differences(history, (urgent, base), {name: {history.said(name, history.head)} for name in names})
    for has, base in history.servers:
        zones = history.urgent[has], base
        history.mixtures += has != history.head or base != history.live[-1]
        yield from differences(
            history, zones, {name: {history.said(name, head) for head in {has, max(has, base)}} for name in names}
        )
        since = range(has, history.head + 1)
        lifted = [name for name in names if all(history.said(name, head) is PASS for head in since)]
        yield from differences(history, zones, {name: {PASS} for name in lifted})


def differences(
    history: History, zones: tuple[Rules, int], allowed: Mapping[str, Collection[Decision]]
) -> Iterator[str]:
    urgent, base = zones
    for model in MODELS:
        look_up = pair(model, urgent, history.rules[base])
        for name, right in allowed.items():
            history.lookups += 1
            if look_up(name) not in right:
                yield f"{model}: {name} is {look_up(name).name}, not {right}: {urgent} before base {base}"


def as_published(history: History) -> Rules:
    return history.urgent[-1]


def mere_difference(history: History) -> Rules:
    """Planted: the rules that are other ones in the head than in some base, and no more."""
    head = history.rules[-1]
    changed = {change.key for base in history.live for change in diff(history.rules[base], head)}
    rules = {key: head.get(key, EMPTY_RULE) for key in changed}
    return {key: Rule(rule.own or PASS, rule.wild or PASS) for key, rule in rules.items()}


def without_nodes_between(history: History) -> Rules:
    """Planted: of a region only its root and what has a target in the head."""
    bases = {name for cells in history.bases() for name in cells}
    return {key: rule for key, rule in as_published(history).items() if key in history.cells[-1] or key in bases}


def without_wildcards(history: History) -> Rules:
    """Planted: of a region's names each has its own record alone, but for the root."""
    urgent = as_published(history)
    roots = {
        key for key, rule in urgent.items() if rule.wild and not any(key != up and key.startswith(up) for up in urgent)
    }
    return {key: rule if key in roots else Rule(rule.own, NOTHING) for key, rule in urgent.items()}


def without_what_older_bases_need(history: History) -> Rules:
    """Planted: entries leave as soon as there is a new base."""
    return urgent_of(history.cells[-1], history.bases()[-1:])


def found_wrong(rebuild: Rebuild, histories: int) -> tuple[list[str], list[History]]:
    found: list[str] = []
    lived = []
    for seed in range(histories):
        history = History(seed)
        lived.append(history)
        for _ in range(RELEASES):
            history.release()
            found += wrong_answers(history, rebuild(history))
        if found:
            break
    return found, lived


@pytest.mark.long
def test_every_mixture_of_both_layers_answers_as_some_head_did(record_property: Record) -> None:
    found, lived = found_wrong(as_published, HISTORIES)
    tell(
        record_property,
        histories=len(lived),
        releases=len(lived) * RELEASES,
        bases_let_go=sum(history.rebases for history in lived),
        in_portions=sum(history.portions for history in lived),
        servers_in_a_mixture=sum(history.mixtures for history in lived),
        lookups_in_four_models=sum(history.lookups for history in lived),
    )
    assert found == []


@pytest.mark.parametrize(
    "planted", [mere_difference, without_nodes_between, without_wildcards, without_what_older_bases_need]
)
def test_the_same_check_catches_a_planted_fault(planted: Rebuild) -> None:
    found, _ = found_wrong(planted, 40)
    assert found


def test_what_is_kept_up_is_what_the_definition_says(record_property: Record) -> None:
    count = 0
    for seed in range(scaled(80)):
        history = History(f"kept up {seed}")
        for _ in range(RELEASES):
            history.release()
            bases = [each for each in history.bases() if each is not history.cells[-1]]
            if history.let_go_until is None:
                assert history.urgent[-1] == urgent_of(history.cells[-1], bases)
                count += 1
    tell(record_property, releases_equal_to_the_definition=count)


def test_a_region_in_portions_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "PORTION", 2)
    for seed in range(scaled(12)):
        history = History(f"portions {seed}")
        for _ in range(RELEASES):
            history.release()
            if history.let_go_until is None:
                assert history.urgent[-1] == urgent_of(history.cells[-1], history.bases())


def test_what_a_mere_difference_would_open() -> None:
    """`y.e.d` keeps its rule when `d` is lifted, so it would be hidden by what stands for `e.d`."""
    base = {
        "example.d.": Cell(NOTHING, BLOCK),
        "example.d.e.": Cell(NOTHING, PASS),
        "example.d.e.y.": Cell(NOTHING, BLOCK),
    }
    head = {key: cell for key, cell in base.items() if key != "example.d."}

    urgent = kept_up(rules_of_cells(base), rules_of_cells(head), [rules_of_cells(base)], {})

    assert urgent == {
        "example.d.": Rule(PASS, PASS),
        "example.d.e.": Rule(PASS, PASS),
        "example.d.e.y.": Rule(BLOCK, BLOCK),
    }


def test_a_block_and_its_lift_leave_nothing_behind() -> None:
    blocked = {"example.a.": Rule(BLOCK, BLOCK)}
    urgent = kept_up({}, blocked, [{}], {})
    assert urgent == blocked
    assert kept_up(blocked, {}, [{}], urgent) == {}


def test_a_lift_of_what_the_base_blocks_is_a_record_that_passes() -> None:
    base = {"example.a.": Rule(BLOCK, NOTHING), "example.b.": Rule(BLOCK, BLOCK)}
    assert kept_up(base, {}, [base], {}) == {"example.a.": Rule(PASS, NOTHING), "example.b.": Rule(PASS, PASS)}


@pytest.mark.parametrize("size", [10, 1_000])
def test_the_cost_follows_what_was_touched(size: int) -> None:
    """A thousand names below one that is covered, and as many beside it."""
    rules = {f"example.n{number:04}.": Rule(BLOCK, BLOCK) for number in range(size)}
    rules |= {f"test.n{number:04}.": Rule(BLOCK, NOTHING) for number in range(size)}
    head = {**rules, "example.n0003.": EMPTY_RULE, "test.new.": Rule(BLOCK, BLOCK)}
    head = {key: rule for key, rule in head.items() if rule != EMPTY_RULE}
    store = MemoryLayers(head, [rules], {})

    for changes in layers.recompute(["example.n0003.", "test.new."], store):
        store.write(changes)

    assert store.urgent == {"example.n0003.": Rule(PASS, PASS), "test.new.": Rule(BLOCK, BLOCK)}
    assert store.asked < 20


def test_names_that_are_gone_through_anew_have_one_root() -> None:
    """What `urgent` holds may be wrong there: a region below another one is built with it, once."""
    rules = {"example.a.": Rule(BLOCK, BLOCK)}
    store = MemoryLayers(rules, [rules], {"example.a.b.": Rule(PASS, PASS)})

    steps = list(layers.recompute(["example.a.", "example.a.b."], store, anew=True))

    assert [change for step in steps for change in step] == [Change("example.a.b.", Rule(PASS, PASS), EMPTY_RULE)]

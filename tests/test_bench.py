"""The benchmarks believe nothing: a transfer that is not right is no figure, and what is too slow or broken is told."""

import datetime as dt
import json
import socket
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from struct import pack

import pytest

from bench import __main__ as bench
from bench import growth, names, results, sink
from bench.drawing import svg
from bench.figures import PULIH, Figure, Must
from bench.run import Run
from bench.secondaries import Crowd, Member, address_of, crowd
from bench.signing import Signer, WrongSignature
from bench.sink import Wanted, WrongTransfer
from bench.table import ROWS, Row
from tests.servers import free_port
from tests.wire.feeds import MadeFeed, client_key, serving

FULL = Wanted("block.rpz", 11, 44)
"""Twenty names with two records each, one with one, SOA, NS and SOA."""

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)

DIFFERENCE = Wanted("block.rpz", 11, 5, since=10)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(MadeFeed()) as server:
        yield server.port


@pytest.mark.parametrize("wanted", [FULL, DIFFERENCE])
def test_a_right_transfer_is_taken(port: int, wanted: Wanted) -> None:
    took = sink.transfer(port, client_key(), wanted, verify=True)

    assert took.messages >= 1
    assert took.seconds > 0


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (FULL._replace(serial=12), "ends in serial 11"),
        (FULL._replace(records=43), "1 records and 0 octets too many"),
        (DIFFERENCE._replace(since=9), "39 records and 0 octets too many"),
        (FULL._replace(zone="other.rpz"), "message 0 holds no record, error 5"),
    ],
)
def test_a_wrong_transfer_is_refused(port: int, wanted: Wanted, why: str) -> None:
    with pytest.raises(WrongTransfer, match=why):
        sink.transfer(port, client_key(), wanted)


def test_an_unsigned_transfer_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        message = pack("!6H", 1, 0x8400, 1, 3, 0, 0) + bytes(60)
        theirs.sendall(pack("!H", len(message)) + message)

        with pytest.raises(WrongTransfer, match="message 0 is not signed"):
            sink.read(ours, 3)


def test_one_that_ends_early_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()

        with pytest.raises(WrongTransfer, match="closed after 0 messages, 3 records short"):
            sink.read(ours, 3)


def test_a_wrong_signature_is_seen() -> None:
    message = b"\0\1" + pack("!5H", 0x8400, 1, 1, 0, 1) + bytes(200)

    with pytest.raises(WrongSignature, match="signature of message 0"):
        Signer(client_key()).check(message)


def test_a_longer_list_begins_with_the_shorter_one() -> None:
    longer = list(names.made_up(50_000))

    assert list(islice(longer, 100)) == list(names.made_up(100))
    different = set(longer)
    assert len(different) == 50_000
    assert not [name for name in longer if name.partition(".")[2] in different]


def test_secondaries_that_do_not_get_a_serial_are_told() -> None:
    members = [Member(address_of(number), client_key()) for number in range(2)]
    everyone = Crowd(members, free_port(), free_port(), "block.rpz", serial=10, records=6)

    with crowd(everyone) as running:
        assert running.last_to_have(10, patience=10) == 0, "it had this one from the start"
        with pytest.raises(WrongTransfer, match="not every secondary has serial 11"):
            running.last_to_have(11, patience=0.2)


def a_row(name: str, *figures: Figure) -> Row:
    return Row(name, "planted", 1.0, lambda _run: list(figures))


def a_figure(must: Must | None, **taken: float) -> Figure:
    return Figure("planted work", "ms", must, taken={server: [value] for server, value in taken.items()})


@pytest.mark.parametrize(
    ("figure", "verdict", "status"),
    [
        (a_figure(Must(0.05, aim=0.02), Pulih=0.03), "held", bench.HELD),
        (a_figure(Must(0.05, aim=0.02), Pulih=0.02), "held, aim reached", bench.HELD),
        (a_figure(Must(0.05), Pulih=0.06), "MISSED", bench.MISSED),
        (a_figure(Must(0.25, of="Knot"), Pulih=1, Knot=4), "held", bench.HELD),
        (a_figure(Must(0.25, of="Knot"), Pulih=1, Knot=3.9), "MISSED", bench.MISSED),
        (a_figure(Must(0.25, of="Knot"), Pulih=1), "NOT MEASURED", bench.NOT_MEASURED),
        (a_figure(Must(0.05), Knot=0.01), "NOT MEASURED", bench.NOT_MEASURED),
        (a_figure(None, Pulih=99), "", bench.HELD),
    ],
)
def test_what_is_too_slow_or_not_measured_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], figure: Figure, verdict: str, status: int
) -> None:
    good = a_row("good", a_figure(Must(1.0), Pulih=0.5))

    assert bench.measure([(a_row("planted", figure), 300), (good, 300)], tmp_path / "run", to=tmp_path) == status

    (file,) = tmp_path.glob("planted-300-*.json")
    assert json.loads(file.read_text())["held"] == (status == bench.HELD)
    assert figure.verdict == verdict
    assert (f"{verdict}: planted work" in capsys.readouterr().out) == (status != bench.HELD)


def test_a_row_that_breaks_is_told_and_leaves_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_run: Run) -> list[Figure]:
        raise WrongTransfer("planted")

    rows = [Row("broken", "planted", 1.0, broken), a_row("good", a_figure(Must(1.0), Pulih=0.5))]

    assert bench.measure([(row, 300) for row in rows], tmp_path / "run", to=tmp_path) == bench.NOT_MEASURED

    assert [file.name.partition("-")[0] for file in tmp_path.glob("*.json")] == ["good"]
    assert "broken: NOT MEASURED" in capsys.readouterr().out
    assert "WrongTransfer: planted" in caplog.text


def test_the_plan_says_what_is_measured_at_which_length(capsys: pytest.CaptureFixture[str]) -> None:
    usual = {row.name: count for row, count in bench.plan([], None)}
    large = [(row.name, count) for row, count in bench.plan([], 10_000_000)]

    assert usual == {row.name: 160_000 if row.name == "transfer" else 1_000_000 for row in ROWS}
    assert large == [(name, 10_000_000) for name in ("start", "axfr", "memory", "change")]
    assert [row.name for row, _ in bench.plan(["import", "axfr"], 500)] == ["axfr", "import"]
    assert "about" in capsys.readouterr().out


def test_the_newest_results_are_drawn(tmp_path: Path) -> None:
    for count, seconds in ((10_000, 0.5), (100_000, 0.25), (100_000, 0.75)):
        figure = Figure("AXFR", "s", Must(0.25, of="Knot"), taken={PULIH: [seconds], "Knot": [4 * seconds]})
        results.write("axfr", count, [figure], 1.0, NOW + dt.timedelta(seconds=seconds), tmp_path)
    row = next(row for row in ROWS if row.name == "axfr")

    (panel,) = growth.panels(row, growth.LENGTHS, tmp_path)
    drawing = svg("A & B", [panel])

    assert panel.series == {PULIH: {10_000: 0.5, 100_000: 0.75}, "Knot": {10_000: 2.0, 100_000: 3.0}}
    assert panel.limit is None
    assert ET.fromstring(drawing).tag.endswith("svg")
    assert "A &amp; B" in drawing
    assert drawing.count("<circle") == 4


def test_a_limit_is_drawn_in_the_unit_of_its_figure(tmp_path: Path) -> None:
    row = Row("planted", "planted", 1.0, lambda _run: [], drawn=0)
    results.write("planted", 10_000, [a_figure(Must(0.05), Pulih=0.03)], 1.0, NOW, tmp_path)

    (panel,) = growth.panels(row, growth.LENGTHS, tmp_path)

    assert (panel.limit, panel.unit, panel.series) == (50, "ms", {PULIH: {10_000: 30}})


def test_nothing_measured_is_nothing_drawn(tmp_path: Path) -> None:
    assert growth.panels(ROWS[0], growth.LENGTHS, tmp_path) == []
    with pytest.raises(ValueError, match="no result to draw"):
        svg("", [])

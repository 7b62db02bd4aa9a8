"""A rank file: streamed in, taken as a whole, and its first names need an override."""

import io

import pytest

from app.auth import tokens
from app.errors import AppError
from app.orders import guarding, ranks
from app.orders.rank_models import RankFile
from app.settings import Limits, parse_zones
from tests.orders.test_direct_sql import refused
from tests.service import NOW, Json, Service, an_order, problem, targets

TOP = b"1,google.com\n2,popular.example\n3,co.id\n4,blogspot.com\n# a comment\n\n12000,less.example\n"
OVERRIDE = {"reason": "a court says so", "expires_at": "2027-01-01T00:00:00Z"}


def imported(service: Service, octets: bytes, name: str = "top.csv", *, smaller: bool = False) -> RankFile:
    with service.database.read() as session:
        actor = tokens.authenticate(session, service.tokens["approver-1"], now=service.clock())
    return ranks.import_file(service.database, actor, io.BytesIO(octets), name, clock=service.clock, smaller=smaller)


def tried(service: Service, *names: str, **fields: object) -> Json:
    response = service.post("orders", an_order(targets=targets(*names), **fields), by="operator-1")
    return problem(response, 422, "soft_protected")


def test_a_popular_name_and_all_below_it_need_an_override(service: Service) -> None:
    service.propose(targets=targets("popular.example"))
    imported(service, TOP)

    for name in ("popular.example", "*.popular.example", "www.popular.example"):
        answer = tried(service, name)
        assert answer["errors"][0]["rule"] == "protected_ranked"
        assert "rank 2 of top.csv" in answer["detail"]
    service.propose(targets=targets("popular.example"), override=OVERRIDE)
    service.propose(targets=targets("less.example"))
    service.propose(targets=targets("casino.blogspot.com"))


def test_a_name_that_became_popular_before_the_approval_is_refused(service: Service) -> None:
    order = service.propose(targets=targets("popular.example"))
    imported(service, TOP)

    response = service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by="approver-1")

    problem(response, 422, "soft_protected")


def test_an_overridden_name_needs_its_plan_and_its_block_ends_by_itself(service: Service) -> None:
    imported(service, TOP)
    order = service.propose(targets=targets("www.popular.example"), override=OVERRIDE)
    response = service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by="approver-1")
    problem(response, 422, "mass_change")

    plan = service.read(f"orders/{order['id']}/plan")
    assert plan["items"][0]["overridden"] == "protected_ranked"
    assert plan["items"][0]["rank"] == {"name": "popular.example", "rank": 2}
    service.approve(order, plan_hash=plan["plan_hash"])
    assert service.zone() == ["www.popular.example ."]
    service.clock.now = NOW.replace(year=2027, month=1, day=1)

    assert service.zone() == []
    assert service.read(f"orders/{order['id']}")["ground"] == "order_expired"


def test_a_plan_shows_what_is_popular_and_known_below_a_subtree(service: Service) -> None:
    imported(service, TOP + b"20000,shop.parent.example\n30000,a.shop.parent.example\n")
    service.lift(service.block("old.parent.example"))
    service.block("blog.parent.example")
    order = service.propose(targets=targets("*.parent.example"))
    shown = service.read(f"orders/{order['id']}/plan")

    assert shown["items"][0]["below"] == {
        "targets": 2,
        "names": ["blog.parent.example", "old.parent.example"],
        "ranked": 2,
        "popular": [
            {"name": "shop.parent.example", "rank": 20_000},
            {"name": "a.shop.parent.example", "rank": 30_000},
        ],
        "more": False,
    }
    service.propose(targets=targets("new.parent.example"))
    assert service.read(f"orders/{order['id']}/plan")["plan_hash"] != shown["plan_hash"]


def test_a_plan_names_the_platform_on_which_a_name_stands(service: Service) -> None:
    order = service.propose(targets=targets("casino.blogspot.com", "casino.wordpress.com", "casino.co.id"))

    items = service.read(f"orders/{order['id']}/plan")["items"]

    assert {item["name"]: (item["platform"], item["public_suffix"]) for item in items} == {
        "casino.blogspot.com": ("blogspot.com", "blogspot.com"),
        "casino.wordpress.com": ("wordpress.com", "com"),
        "casino.co.id": (None, "co.id"),
    }


def test_a_file_takes_the_place_of_the_one_before_and_both_are_on_record(service: Service) -> None:
    first = imported(service, TOP)
    second = imported(service, b"1,other.example\n2,third.example\n3,x.example", "newer.csv")

    service.propose(targets=targets("popular.example"))
    tried(service, "other.example")
    assert service.read("guard")["rank_file"] == {
        "name": "newer.csv",
        "imported_at": "2026-11-22T03:00:00Z",
        "imported_by": "approver-1",
        "sha256": second.sha256.hex(),
        "count": 3,
    }
    events = service.events(type="guard.ranks_imported")
    assert [event["facts"]["replaced"] for event in events] == [None, first.sha256.hex()]
    assert service.rows()["ranked_names"] == 3
    assert service.rows()["rank_files"] == 2


def test_the_same_file_again_changes_nothing(service: Service) -> None:
    imported(service, TOP)
    before = service.rows()

    imported(service, TOP)

    assert service.rows() == before


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"google.com", "rank_and_name"),
        (b"0,google.com", "rank_and_name"),
        (b"-1,google.com", "rank_and_name"),
        (b"1", "rank_and_name"),
        (b"1,goo gle.com", "space"),
        (b"1,192.0.2.1", "address"),
        (b"1,\xff.com", "utf8"),
        (b"99999999999,google.com", "rank_and_name"),
    ],
)
def test_a_line_that_is_wrong_refuses_the_file_by_its_number(service: Service, line: bytes, rule: str) -> None:
    before = service.rows()

    with pytest.raises(AppError) as caught:
        imported(service, b"1,good.example\n" + line + b"\n")

    assert caught.value.faults[0].line == 2
    assert rule in caught.value.faults[0].rule
    assert service.rows() == before


def test_a_file_that_was_cut_off_is_refused(service: Service) -> None:
    imported(service, b"".join(b"%d,n%d.example\n" % (n, n) for n in range(1, 11)))

    with pytest.raises(AppError, match="was the file cut off"):
        imported(service, b"1,n1.example\n")
    with pytest.raises(AppError, match="no name"):
        imported(service, b"# nothing\n")
    assert imported(service, b"1,n1.example\n", smaller=True).count == 1


def test_a_name_that_stands_there_twice_has_its_better_rank(service: Service) -> None:
    imported(service, b"7,a.example\n3,A.example.\n")
    order = service.propose(targets=targets("a.example"), override=OVERRIDE)

    assert service.read(f"orders/{order['id']}/plan")["items"][0]["rank"] == {"name": "a.example", "rank": 3}


def test_what_a_crash_left_is_swept_and_never_counts(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ranks, "_replace", lambda *_: (_ for _ in ()).throw(OSError("crash")))
        with pytest.raises(OSError, match="crash"):
            imported(service, TOP)
    service.propose(targets=targets("popular.example"))
    assert service.read("guard")["rank_file"] is None

    service.clock.forward(2 * ranks.GIVEN_UP_AFTER)
    ranks.sweep(service.database, service.clock())

    assert (service.rows()["rank_files"], service.rows()["ranked_names"]) == (0, 0)


def test_how_far_down_is_a_setting(service: Service) -> None:
    imported(service, TOP)
    zones = parse_zones("block.rpz=nxdomain")

    protected = {
        ranked: ranks.up_to_date(service.database, guarding.load(zones, Limits(ranked=ranked))).protected.soft
        for ranked in (0, 1, 12_000)
    }

    assert ["less.example" in soft for soft in protected.values()] == [False, False, True]
    assert ["popular.example" in soft for soft in protected.values()] == [False, False, True]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM rank_files",
        "DELETE FROM ranked_names",
        "UPDATE ranked_names SET rank = 1000000",
        "UPDATE rank_files SET live = false",
        "UPDATE rank_files SET count = 1",
        "INSERT INTO ranked_names (file_id, key, rank) SELECT id, 'example.x.', 1 FROM rank_files",
    ],
)
def test_no_statement_changes_a_rank_file(service: Service, statement: str) -> None:
    imported(service, TOP)

    assert "rank file" in refused(service, statement)


def test_a_guard_that_has_the_newest_file_is_not_made_again(service: Service) -> None:
    imported(service, TOP)
    guard = ranks.up_to_date(service.database, guarding.load(parse_zones("block.rpz=nxdomain")))

    assert ranks.up_to_date(service.database, guard) is guard

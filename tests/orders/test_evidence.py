"""Evidence: what is kept, what is refused by its octets, who gets it back, and how it is sealed."""

import base64
import hashlib
from random import Random

import pytest

from app.orders import evidence, media
from app.orders.schemas import MAX_EVIDENCE_OCTETS
from tests.orders.evidence_files import BAD, BAD_NAMES, GOOD, JPEG, PDF, PNG, TEXT, a_file
from tests.orders.test_direct_sql import refused
from tests.policy.scale import scaled
from tests.service import Json, Service, a_leaf, answered, condition, problem

TWO = {"all_of": [a_leaf("one"), a_leaf("two")]}


def claimed(service: Service, evidence: Json, *, by: str = "operator-1", **fields: object) -> Json:
    """The first condition of an order in force, claimed with this evidence."""
    order = service.block("a.example", conditions=TWO, **fields)
    return service.mark(condition(order, "one"), "claim", by=by, evidence=evidence)


def add(service: Service, leaf: Json, piece: Json, *, by: str = "operator-1") -> Json:
    return service.mark(leaf, "evidence", by=by, evidence=piece)


def test_files_are_kept_as_they_came_and_handed_out_to_be_saved(service: Service) -> None:
    leaf = claimed(service, {"text": "what follows"})
    for name, content, type_, saved in GOOD:
        kept = add(service, leaf, a_file(name, content))["evidence"][-1]

        assert (kept["file"], kept["media_type"], kept["size"]) == (name, type_, len(content))
        assert (kept["sha256"], kept["download_name"]) == (hashlib.sha256(content).hexdigest(), saved)
        answer = service.get(f"conditions/{leaf['id']}/evidence/{kept['id']}")
        assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (200, content, type_)
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"


def test_a_name_that_headers_cannot_carry_is_written_for_both_kinds_of_reader() -> None:
    disposition = media.headers('surat é".pdf', "application/pdf", b"")["Content-Disposition"]
    assert disposition == "attachment; filename=\"surat __.pdf\"; filename*=UTF-8''surat%20%C3%A9%22.pdf"


@pytest.mark.parametrize("content", BAD.values(), ids=list(BAD))
def test_octets_that_are_none_of_the_allowed_kinds_from_begin_to_end_are_refused(content: bytes) -> None:
    assert media.of(content) is None


def test_a_refused_file_leaves_nothing_and_is_told_by_the_rule(service: Service) -> None:
    leaf = condition(service.block())

    body = {"evidence": a_file("letter.pdf", BAD["a program"])}
    answer = problem(service.post(f"conditions/{leaf['id']}/claim", body, by="operator-1"), 415, "media_type")

    assert answer["errors"] == [
        {"pointer": "/evidence/file/content", "value": "letter.pdf", "rule": "media_type"},
    ]
    assert service.rows()["evidence"] == 0
    assert service.read(f"conditions/{leaf['id']}")["state"] == "pending"


def test_a_name_that_is_a_path_or_hides_something_is_refused(service: Service) -> None:
    leaf = condition(service.block())

    for name in BAD_NAMES:
        answer = service.post(f"conditions/{leaf['id']}/claim", {"evidence": a_file(name)}, by="operator-1")
        problem(answer, 422, "body_invalid")
    assert service.rows()["evidence"] == 0


def test_no_mutation_of_a_file_is_taken_for_what_it_is_not() -> None:
    random = Random(5)
    for _ in range(scaled(2_000)):
        content = bytearray(random.choice((PDF, PNG, JPEG, TEXT)))
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(content))
            content[at : at + random.randrange(3)] = random.randbytes(random.randrange(4))
            if random.random() < 0.2:
                content += random.choice((b"PK\x03\x04", b"<html>", b"\0", b"%%EOF"))
        kind = media.of(bytes(content))
        if kind is not None and kind.type.startswith("text/"):
            content.decode("utf-8")
            assert not content.startswith((b"%PDF-", b"\x89PNG", b"\xff\xd8\xff"))


def test_whoever_claimed_adds_evidence_until_it_is_judged(service: Service) -> None:
    leaf = claimed(service, {"text": "the letter follows"}, by="platform-1", platform="platform-1")

    added = add(service, leaf, a_file(), by="platform-1")

    assert (added["state"], added["version"]) == ("claimed", 3)
    assert [(each["text"], each["file"]) for each in added["evidence"]] == [
        ("the letter follows", None),
        (None, "letter.pdf"),
    ]
    event = service.events()[-1]
    assert event["type"] == "condition.evidence_added"
    assert event["facts"]["evidence"] == "sha256:" + hashlib.sha256(PDF).hexdigest()


def test_nobody_else_adds_to_a_claim_least_of_all_who_is_to_verify_it(service: Service) -> None:
    leaf = claimed(service, {"text": "see the letter"})

    for by in ("approver-1", "operator-2"):
        body = {"evidence": {"text": "mine"}}
        problem(service.post(f"conditions/{leaf['id']}/evidence", body, by=by), 403, "role_forbidden")


def test_only_a_claim_that_is_open_takes_evidence(service: Service) -> None:
    for act in (None, "reject", "verify", "waive"):
        leaf = condition(service.block(conditions=TWO), "one")
        if act is not None:
            service.mark(leaf, "claim", by="operator-1")
            fields = {"reason": "x", "authority": "y"} if act == "waive" else {}
            service.mark(leaf, act, by="approver-1", **fields)

        body = {"evidence": {"text": "more"}}
        problem(service.post(f"conditions/{leaf['id']}/evidence", body, by="operator-1"), 409, "state_conflict")


def test_a_mark_on_evidence_that_was_not_seen_is_stale(service: Service) -> None:
    leaf = claimed(service, {"text": "one"})
    add(service, leaf, {"text": "two"})

    answer = service.post(f"conditions/{leaf['id']}/verify", {"reason": "seen"}, by="approver-1", version='"2"')

    problem(answer, 412, "stale_version")


def test_what_was_verified_is_sealed_and_the_journal_says_what_it_was(service: Service) -> None:
    leaf = claimed(service, {"text": "one"})
    add(service, leaf, a_file())

    met = service.mark(leaf, "verify", by="approver-1")

    assert (met["sealed"], len(met["evidence"])) == (True, 2)
    assert service.events()[-1]["facts"]["evidence"] == [
        "sha256:" + hashlib.sha256(b"one").hexdigest(),
        "sha256:" + hashlib.sha256(PDF).hexdigest(),
    ]


def test_a_condition_that_was_breached_is_shown_anew(service: Service) -> None:
    leaf = claimed(service, {"text": "one"})
    service.mark(leaf, "verify", by="approver-1")
    service.mark(leaf, "breach", by="approver-1", reason="x", authority="y")

    again = service.mark(leaf, "claim", by="operator-1", evidence={"text": "two"})

    assert (again["sealed"], [each["text"] for each in again["evidence"]]) == (False, ["one", "two"])


@pytest.mark.parametrize("limit", ["pieces", "octets"])
def test_a_condition_has_so_much_evidence_and_no_more(
    service: Service, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(evidence, "MOST_PIECES", 3 if limit == "pieces" else 100)
    monkeypatch.setattr(evidence, "MOST_OCTETS", 3 * len(PDF) if limit == "octets" else 10**9)
    leaf = claimed(service, a_file())
    for _ in range(2):
        add(service, leaf, a_file())

    answer = service.post(f"conditions/{leaf['id']}/evidence", {"evidence": a_file()}, by="operator-1")

    assert "are allowed" in problem(answer, 413, "too_large")["detail"]
    assert service.rows()["evidence"] == 3


def test_the_largest_file_is_taken_and_the_limits_are_those_that_are_told(service: Service) -> None:
    assert (evidence.MOST_PIECES, evidence.MOST_OCTETS, MAX_EVIDENCE_OCTETS) == (20, 8 * 2**20, 2**20)
    largest = a_file("large.txt", b"x" * MAX_EVIDENCE_OCTETS)

    assert claimed(service, largest)["evidence"][0]["size"] == MAX_EVIDENCE_OCTETS


def test_a_platform_gets_what_it_submitted_and_nothing_else(service: Service) -> None:
    mine = claimed(service, a_file(), by="platform-1", platform="platform-1")
    service.mark(mine, "reject", by="approver-1")
    both = service.mark(mine, "claim", by="operator-1", evidence=a_file("internal.pdf"))
    others = claimed(service, a_file(), platform="platform-2")

    seen = service.read(f"conditions/{mine['id']}", by="platform-1")["evidence"]
    assert [each["file"] for each in seen] == ["letter.pdf"]
    own, internal = (each["id"] for each in both["evidence"])
    assert service.get(f"conditions/{mine['id']}/evidence/{own}", by="platform-1").content == PDF
    for leaf, piece in ((mine, internal), (others, others["evidence"][0]["id"]), (mine, "nonsense")):
        problem(service.get(f"conditions/{leaf['id']}/evidence/{piece}", by="platform-1"), 404, "not_found")


def test_a_piece_of_another_condition_or_without_a_file_is_not_found(service: Service) -> None:
    one, two = claimed(service, a_file()), claimed(service, {"text": "only a text"})

    for leaf, piece in ((two, one["evidence"][0]), (two, two["evidence"][0])):
        problem(service.get(f"conditions/{leaf['id']}/evidence/{piece['id']}"), 404, "not_found")


FORGED = (
    "INSERT INTO evidence (uid, condition_id, submitted_at, submitted_by_id, sha256, text)"
    " SELECT 'forged', condition_id, submitted_at, submitted_by_id, sha256, 'forged' FROM evidence LIMIT 1"
)


FORGERIES = {
    FORGED: "the evidence of a condition is sealed once it is met",
    "UPDATE evidence SET text = 'planted'": "evidence is never changed",
    "DELETE FROM evidence": "evidence is never deleted",
    "UPDATE conditions SET state = 'claimed' WHERE state = 'met'": "a condition does not move that way",
    "UPDATE conditions SET due_at = '2030-01-01 00:00:00'": "what a condition asks for is immutable",
}


def test_the_seal_holds_against_direct_sql(service: Service) -> None:
    leaf = claimed(service, {"text": "one"})
    service.mark(leaf, "verify", by="approver-1")

    for statement, words in FORGERIES.items():
        assert words in refused(service, statement)
    assert len(service.read(f"conditions/{leaf['id']}")["evidence"]) == 1


def test_evidence_with_a_file_is_told_whole_over_idempotency(service: Service) -> None:
    leaf = condition(service.block())
    body = {"evidence": a_file()}
    path = f"conditions/{leaf['id']}/claim"

    first = answered(service.post(path, body, by="operator-1", Idempotency_Key="k"))
    again = service.post(path, body, by="operator-1", Idempotency_Key="k")

    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first, "true")
    assert service.rows()["evidence"] == 1

"""Applications as an operator enters them, and what is done to them."""

from tests.service import Json, Service, answered

PAPERS = {
    "owner": ("ownership_statement", "application_letter", "screenshot"),
    "new_owner": ("ownership_statement", "purchase_invoice", "application_letter", "screenshot"),
    "public": ("application_letter",),
}
REASON = {"id": "Situs sudah bersih", "en": "The site is clean"}
DECIDER = "approver-2"
"""Had no part in what `Service.block` does: operator-1 proposes, approver-1 approves."""


def papers(*codes: str) -> list[Json]:
    return [{"code": code, "reference": f"file 7/{code}"} for code in codes]


def an_application(*names: str, **fields: object) -> Json:
    """An application with all the papers of its `standing` (owner); `fields` replace what is said here."""
    standing = str(fields.pop("standing", "owner"))
    return {
        "applicant": {"standing": standing, "name": "Siti Example", "contact": "siti@mail.example"},
        "about": {"names": list(names)},
        "statement": "The pages are gone",
        "papers": papers(*PAPERS[standing]),
        **fields,
    }


def apply(service: Service, *names: str, by: str = "operator-2", **fields: object) -> Json:
    """An application that must be taken."""
    return answered(service.post("applications", an_application(*names, **fields), by=by, version=None), 201)


def appeal(service: Service, **fields: object) -> Json:
    """An appeal that must be taken."""
    body = an_application(kind="appeal", papers=papers("appeal_letter"), **fields)
    if "appeal_of" in fields:
        del body["about"]
    return answered(service.post("applications", body, by="operator-2", version=None), 201)


def act(service: Service, application: Json, act: str, body: Json, *, by: str = "operator-2") -> Json:
    """An act on an application that must succeed."""
    return answered(service.post(f"applications/{application['id']}/{act}", body, by=by))


def granted(**fields: object) -> Json:
    return {"outcome": "granted", "ground": "wrong_block", "reason": REASON, **fields}


def refused(**fields: object) -> Json:
    return {"outcome": "refused", "reason": {"id": "Masih ada", "en": "It is still there"}, **fields}


def decide(service: Service, application: Json, body: Json, *, by: str = DECIDER) -> Json:
    return act(service, application, "decide", body, by=by)

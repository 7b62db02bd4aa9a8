"""Errors as `application/problem+json` (RFC 9457), and the table of every code there is."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException

from app.db import failure
from app.errors import AppError, Fault, faults_of
from resolver_policy.errors import PolicyError

log = logging.getLogger(__name__)


class Problem(NamedTuple):
    """A code's HTTP status and its title in both languages; all three never change."""

    status: int
    en: str
    id: str


PROBLEMS = {
    "body_invalid": Problem(422, "The request is not valid", "Permintaan tidak sah"),
    "name_invalid": Problem(422, "Not a domain name that can be listed", "Bukan nama domain yang dapat didaftarkan"),
    "name_too_long": Problem(422, "The name is too long", "Nama terlalu panjang"),
    "address_not_name": Problem(422, "An address is not a domain name", "Alamat IP bukan nama domain"),
    "category_unknown": Problem(422, "No such category", "Kategori tidak dikenal"),
    "sop_unknown": Problem(422, "No such SOP", "SOP tidak dikenal"),
    "conditions_empty": Problem(422, "A group of conditions is empty", "Kelompok syarat kosong"),
    "no_gating_condition": Problem(
        422, "No condition decides the lift", "Tidak ada syarat yang menentukan normalisasi"
    ),
    "review_date_past": Problem(422, "The review date has passed", "Tanggal peninjauan sudah lewat"),
    "idempotency_mismatch": Problem(
        422, "Idempotency key of another request", "Kunci idempotensi milik permintaan lain"
    ),
    "hard_protected": Problem(422, "The name may never be blocked", "Nama ini tidak boleh diblokir"),
    "soft_protected": Problem(422, "The name needs an override", "Nama ini memerlukan pengecualian perlindungan"),
    "mass_change": Problem(422, "The plan must be confirmed by its hash", "Rencana harus disahkan dengan hash-nya"),
    "emergency_limit": Problem(422, "Too much for an emergency order", "Melebihi batas perintah darurat"),
    "token_missing": Problem(401, "A token is needed", "Diperlukan token"),
    "token_invalid": Problem(401, "The token is not valid", "Token tidak sah"),
    "role_forbidden": Problem(403, "Not for this role", "Bukan untuk peran ini"),
    "four_eyes": Problem(403, "Another person must do this", "Harus dilakukan orang lain"),
    "not_found": Problem(404, "Not found", "Tidak ditemukan"),
    "method_not_allowed": Problem(405, "Not that method", "Metode tidak diizinkan"),
    "serial_unknown": Problem(410, "This zone never had that serial", "Zona ini tidak pernah memiliki serial itu"),
    "state_conflict": Problem(409, "Not possible in this state", "Tidak mungkin dalam keadaan ini"),
    "plan_changed": Problem(409, "The plan has changed", "Rencana telah berubah"),
    "order_number_taken": Problem(409, "The order number is taken", "Nomor perintah sudah dipakai"),
    "exception_not_specific": Problem(409, "The exception would do nothing", "Pengecualian tidak berpengaruh"),
    "idempotency_in_flight": Problem(409, "The first request is still running", "Permintaan pertama masih berjalan"),
    "stale_version": Problem(412, "The version is not current", "Versi sudah tidak berlaku"),
    "version_required": Problem(428, "If-Match is needed", "Diperlukan If-Match"),
    "too_large": Problem(413, "Too large", "Terlalu besar"),
    "media_type": Problem(415, "Not that kind of body", "Jenis isi tidak didukung"),
    "rate_limited": Problem(429, "Too many requests", "Terlalu banyak permintaan"),
    "storage_full": Problem(507, "No space left to record the change", "Ruang penyimpanan habis"),
    "not_writable": Problem(503, "Changes cannot be recorded now", "Perubahan tidak dapat dicatat saat ini"),
    "busy": Problem(503, "The database is busy; try again", "Basis data sibuk; coba lagi"),
    "internal": Problem(500, "A fault in the service", "Kesalahan layanan"),
}


def problem(
    code: str, detail: str, faults: Sequence[Fault] = (), headers: dict[str, str] | None = None
) -> JSONResponse:
    """One error as a response; `errors` names each offending value, its place and the rule it broke."""
    known = PROBLEMS[code]
    body: dict[str, object] = {
        "type": f"urn:pulih:problem:{code}",
        "title": known.en,
        "title_id": known.id,
        "status": known.status,
        "detail": _printable(detail),
        "code": code,
    }
    if faults:
        body["errors"] = [_fault(fault) for fault in faults]
    return JSONResponse(body, known.status, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Make every failure of `app` a problem document."""
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(PolicyError, _policy_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(StaleDataError, _stale)
    app.add_exception_handler(DBAPIError, _database_error)
    app.add_exception_handler(PoolTimeout, _database_error)
    app.add_exception_handler(Exception, _bug)


def _fault(fault: Fault) -> dict[str, object]:
    fields = {"pointer": fault.pointer, "line": fault.line, "value": fault.value, "rule": fault.rule}
    return {
        key: _printable(value) if isinstance(value, str) else value
        for key, value in fields.items()
        if value is not None
    }


def _printable(text: str) -> str:
    """Text that UTF-8 can carry: JSON may hold half of a surrogate pair, which it cannot."""
    return text.encode("utf-8", "backslashreplace").decode()


def _app_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None  # noqa: PLR2004 - the status itself
    return problem(error.code, error.detail, error.faults, headers)


def _policy_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PolicyError)
    return problem(error.code, error.detail, faults_of(error))


def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [
        Fault(rule=item["msg"], value=_shown(item.get("input")), pointer=_pointer(item["loc"]))
        for item in error.errors()
    ]
    first = f"{faults[0].pointer}: {faults[0].rule}" if faults else "the request is not valid"
    return problem("body_invalid", first, faults)


def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "media_type"}.get(
        error.status_code, "body_invalid"
    )
    return problem(code, str(error.detail), headers=dict(error.headers or {}))


def _stale(_request: Request, _error: Exception) -> JSONResponse:
    return problem("stale_version", "somebody changed it at the same moment: read it again")


def _database_error(_request: Request, error: Exception) -> JSONResponse:
    code = "busy" if isinstance(error, PoolTimeout) else failure(error) if isinstance(error, DBAPIError) else None
    if code == "storage_full":
        return problem(code, "the change was not made: no space is left to record it")
    if code == "not_writable":
        log.error("the database cannot be written", exc_info=error)
        return problem(code, "the change was not made: the database cannot be written; zones are served on")
    if code == "busy":
        return problem(code, "the change was not made: the database is busy", headers={"Retry-After": "1"})
    log.error("the database failed", exc_info=error)
    return problem("internal", "the change was not made: the database failed")


def _bug(_request: Request, _error: Exception) -> JSONResponse:
    return problem("internal", "a fault in the service; it has been logged")


def _pointer(location: Sequence[int | str]) -> str:
    """A JSON pointer (RFC 6901) to a value of the body, or the name of a parameter in the same form."""
    parts = (str(part)[:200].replace("~", "~0").replace("/", "~1") for part in location[1:])
    return "".join(f"/{_printable(part)}" for part in parts)


def _shown(value: object) -> str | None:
    return value[:200] if isinstance(value, str) else None

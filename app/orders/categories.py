"""The reason codes, from the ministry's own reporting form."""

from collections.abc import Iterable
from typing import NamedTuple

from app.errors import Fault, SettingInvalid, Unprocessable


class Category(NamedTuple):
    """A reason code and its name in both languages."""

    code: str
    id: str
    en: str


CATEGORIES = (
    Category("pornography", "Pornografi", "Pornography"),
    Category("radicalism", "Radikalisme", "Radicalism"),
    Category("ethnic_hatred", "SARA", "Ethnic, religious and racial hatred"),
    Category("violence", "Kekerasan", "Violence"),
    Category("child_abuse", "Pornografi anak", "Child sexual abuse"),
    Category("gambling", "Perjudian", "Gambling"),
    Category("fraud", "Penipuan", "Fraud"),
    Category("illegal_investment", "Investasi ilegal", "Illegal investment"),
    Category("defamation", "Fitnah", "Defamation"),
    Category("illegal_drugs_cosmetics", "Obat dan kosmetik ilegal", "Illegal drugs and cosmetics"),
    Category("intellectual_property", "Hak kekayaan intelektual", "Intellectual property"),
    Category("information_security", "Keamanan informasi", "Information security"),
    Category("ite_law", "Pelanggaran UU ITE", "Electronic information law"),
    Category("licensed_trade", "Perdagangan berizin khusus", "Trade that needs a licence"),
    Category("social_values", "Nilai sosial budaya", "Social and cultural values"),
    Category("hoax", "Berita bohong", "Hoax"),
    Category("extortion", "Pemerasan", "Extortion"),
    Category("enabling_access", "Memfasilitasi akses konten negatif", "Enabling access to blocked content"),
    Category("sector_agency", "Rekomendasi instansi sektor", "Recommended by a sector agency"),
    Category("public_unrest", "Meresahkan masyarakat", "Public unrest"),
    Category("separatism", "Separatisme", "Separatism"),
)

_CODES = frozenset(category.code for category in CATEGORIES)


def check(code: str) -> None:
    """Raise Unprocessable (`category_unknown`) where there is no such category."""
    if code not in _CODES:
        fault = Fault(rule="category_unknown", value=code, pointer="/category")
        raise Unprocessable(f"{code!r} is not a category", code="category_unknown", faults=(fault,))


def check_known(codes: Iterable[str]) -> None:
    """Raise SettingInvalid where the urgent categories of a regime are not categories."""
    unknown = sorted({*codes} - _CODES)
    if unknown:
        raise SettingInvalid(f"urgent_categories: {', '.join(unknown)}: no such category")

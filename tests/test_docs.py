"""What the README and the texts behind it say is what there is."""

import re
from pathlib import Path

import pytest

from app.problems import PROBLEMS
from app.settings import Settings

ROOT = Path(__file__).parent.parent
TEXTS = {path.relative_to(ROOT).as_posix(): path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))}
README = "README.md"
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def text_of(name: str) -> str:
    return TEXTS[name].read_text("utf-8")


def anchors_of(path: Path) -> set[str]:
    """The headings of a text, as links write them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_table_of_codes_is_complete_and_says_the_right_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", text_of("docs/http.md"), re.MULTILINE)

    assert {code: int(status) for status, code in rows} == {code: known.status for code, known in PROBLEMS.items()}


def test_the_table_of_settings_is_complete() -> None:
    documented = set(re.findall(r"^\| `PULIH_(\w+)` \|", text_of("docs/operation.md"), re.MULTILINE))

    assert documented == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("heading", ["A tour of five minutes", "An ISP, connected", "How it works", "Read on"])
def test_the_front_door_has_its_rooms(heading: str) -> None:
    assert re.search(rf"^## {heading}$", text_of(README), re.MULTILINE)


def test_the_front_door_leads_to_every_text() -> None:
    assert {name for name in TEXTS if name.startswith("docs/")} <= set(re.findall(r"\]\(([^)#]+)", text_of(README)))


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", FENCED.sub("", text_of(name))):
        file, _, anchor = link.partition("#")
        target = (TEXTS[name].parent / file).resolve() if file else TEXTS[name]
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link

"""What the README says is what there is."""

import re
from pathlib import Path

import pytest

from app.problems import PROBLEMS
from app.settings import Settings

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def test_the_table_of_codes_is_complete_and_says_the_right_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", README, re.MULTILINE)

    assert {code: int(status) for status, code in rows} == {code: known.status for code, known in PROBLEMS.items()}


def test_the_table_of_settings_is_complete() -> None:
    documented = set(re.findall(r"^\| `PULIH_(\w+)` \|", README, re.MULTILINE))

    assert documented == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("heading", ["A tour of five minutes", "Errors", "Settings"])
def test_the_front_door_has_its_rooms(heading: str) -> None:
    assert re.search(rf"^#+ {heading}$", README, re.MULTILINE)

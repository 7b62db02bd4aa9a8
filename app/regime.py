"""A regime: which clocks the law sets, which categories are urgent, which papers an application brings; all of it data.

One ships (`regimes/indonesia.json`), with the source of each rule beside it; PULIH_REGIME_FILE names another.
"""

import datetime as dt
import json
import re
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import SettingInvalid

LONGEST_HOURS = 87_600
OFFSET = r"^[+-](0\d|1[0-4]):[0-5]\d$"


class ClockCode(StrEnum):
    """What the law gives a time for: from what, until what."""

    APPLICATION_DECIDED = "application_decided"
    APPEAL_DECIDED = "appeal_decided"
    ORDER_DECIDED_URGENT = "order_decided_urgent"
    ORDER_DECIDED = "order_decided"
    ISP_APPLIED = "isp_applied"


class Part(BaseModel):
    """Base of every part of a regime: frozen, and strict about names of fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Text = Annotated[str, Field(min_length=1, max_length=500)]
Code = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]


class Title(Part):
    """The regime's name in both languages."""

    id: Text
    en: Text


class Zone(Part):
    """Where days are counted and times are shown; an offset without summer time."""

    name: Text
    utc_offset: Annotated[str, Field(pattern=OFFSET)]


class LawClock(Part):
    """So many hours, and which rule says so."""

    hours: Annotated[int, Field(ge=1, le=LONGEST_HOURS)]
    source: Text

    @property
    def length(self) -> dt.timedelta:
        return dt.timedelta(hours=self.hours)


class LawClocks(Part):
    """Every clock of `ClockCode`, none left out."""

    application_decided: LawClock
    appeal_decided: LawClock
    order_decided_urgent: LawClock
    order_decided: LawClock
    isp_applied: LawClock


class Paper(Part):
    """A document that must be brought, what it is in both languages, and who asks for it."""

    code: Code
    id: Text
    en: Text
    source: Text


Papers = Annotated[tuple[Paper, ...], Field(min_length=1, max_length=50)]


class Documents(Part):
    """What an application brings, by the standing of whoever applies, and what an appeal does."""

    owner: Papers
    new_owner: Papers
    public: Papers
    appeal: Papers


class Regime(Part):
    """The rules of one country, as data. `calendar_hours`: hours run day and night, also on holidays."""

    code: Code
    title: Title
    time_zone: Zone
    calendar: Literal["calendar_hours"]
    urgent_categories: dict[Code, Text]
    clocks: LawClocks
    documents: Documents

    def clock(self, code: ClockCode) -> LawClock:
        """The length of a clock, and the rule that sets it."""
        found = getattr(self.clocks, code)
        assert isinstance(found, LawClock)
        return found

    def of_category(self, category: str) -> ClockCode:
        """Which clock runs on a proposal of this category."""
        return ClockCode.ORDER_DECIDED_URGENT if category in self.urgent_categories else ClockCode.ORDER_DECIDED

    def shown(self, moment: dt.datetime) -> str:
        """A moment as people there read it: RFC 3339, in seconds, with the regime's offset."""
        sign, hours, minutes = self._offset()
        zone = dt.timezone(sign * dt.timedelta(hours=hours, minutes=minutes))
        return moment.astimezone(zone).isoformat(timespec="seconds")

    def _offset(self) -> tuple[int, int, int]:
        found = re.fullmatch(r"([+-])(\d\d):(\d\d)", self.time_zone.utc_offset)
        assert found is not None
        return (-1 if found[1] == "-" else 1), int(found[2]), int(found[3])


@cache
def load(path: Path | None) -> Regime:
    """The regime in a file, or (None) the one that ships; raises SettingInvalid, naming the file and the field."""
    file = resources.files("app") / "regimes" / "indonesia.json" if path is None else path
    try:
        return Regime.model_validate(json.loads(file.read_text("utf-8")))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise SettingInvalid(f"{file}: {faults}") from error
    except (OSError, ValueError) as error:
        raise SettingInvalid(f"{file}: {error}") from error

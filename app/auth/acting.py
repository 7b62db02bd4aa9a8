"""What every act by HTTP is made of: its transaction, its moment, the version that was shown, and the answer's tag."""

import datetime as dt
from typing import Annotated, TypeVar

from fastapi import Depends, Response

from app.deps import ClockDep, SessionDep, VersionDep, Versioned, tagged
from app.journal.moment import moment

Row = TypeVar("Row", bound=Versioned)


class Act:
    """An act, of which one row comes out: `tagged` sends its version with the answer."""

    def __init__(self, session: SessionDep, clock: ClockDep, response: Response) -> None:
        self.session, self.clock = session, clock
        self._response = response
        self._now: dt.datetime | None = None

    @property
    def now(self) -> dt.datetime:
        """The moment of the act, taken when it is first asked for: by then the transaction has the writer's lock.

        No `cached_property`: until Python 3.12 it has one lock for all acts, and whoever waits in it for the writer
        keeps the writer from ending.
        """
        if self._now is None:
            self._now = moment(self.session, self.clock)
        return self._now

    def tagged(self, row: Row) -> Row:
        """Give a row back, and in the answer's `ETag` its version."""
        return tagged(row, self._response)


class ActOnShown(Act):
    """An act on a row of which the client was shown a version (`If-Match`)."""

    def __init__(self, session: SessionDep, clock: ClockDep, response: Response, version: VersionDep) -> None:
        super().__init__(session, clock, response)
        self._version = version

    def shown(self, row: Row) -> Row:
        """Give a row back, where it has the version that the client was shown; raises StaleVersion."""
        return self._version.check(row)


ActDep = Annotated[Act, Depends(scope="function")]
ActOnShownDep = Annotated[ActOnShown, Depends(scope="function")]

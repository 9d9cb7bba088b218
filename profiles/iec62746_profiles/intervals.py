"""Times and intervals in UTC. A time without a zone is refused: two parties cannot agree on it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from xsdata.models.datatype import XmlDateTime


class Bounds(Protocol):
    """A generated `DateTimeInterval`, of whichever profile."""

    @property
    def start(self) -> XmlDateTime | None:
        """When it begins."""
        ...

    @property
    def end(self) -> XmlDateTime | None:
        """When it ends."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """From `start` until just before `end`, both in UTC.

    Raises `ValueError` for a naive time, and for an end that is not later than the start.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Turn both into UTC."""
        object.__setattr__(self, "start", _in_utc(self.start))
        object.__setattr__(self, "end", _in_utc(self.end))
        if self.end <= self.start:
            raise ValueError(f"an interval ends later than it starts: {self.start.isoformat()}, {self.end.isoformat()}")

    @classmethod
    def of(cls, bounds: Bounds) -> "Interval":
        """Return what a generated `DateTimeInterval` says; raises `ValueError` if either bound is absent."""
        if bounds.start is None or bounds.end is None:
            raise ValueError("an interval needs its start and its end")
        return cls(start=from_xml(bounds.start), end=from_xml(bounds.end))

    @property
    def duration(self) -> timedelta:
        """How long it is."""
        return self.end - self.start

    def contains(self, moment: datetime) -> bool:
        """Return whether `moment` is in it; the end is not."""
        return self.start <= _in_utc(moment) < self.end

    def overlaps(self, other: "Interval") -> bool:
        """Return whether some moment is in both."""
        return self.start < other.end and other.start < self.end


def to_xml(moment: datetime) -> XmlDateTime:
    """Return `moment` as the generated classes take it, in UTC; raises `ValueError` for a naive one."""
    return XmlDateTime.from_datetime(_in_utc(moment))


def from_xml(written: XmlDateTime) -> datetime:
    """Return the moment in UTC, nanoseconds cut off; raises `ValueError` for a naive one."""
    if written.hour == 24:  # the end of a day, as XML may write it
        return _in_utc(written.replace(hour=0).to_datetime()) + timedelta(days=1)
    return _in_utc(written.to_datetime())


def minutes(duration: timedelta) -> Decimal:
    """Return how many minutes `duration` is: IEC 61968-9 counts durations so."""
    return Decimal(duration // timedelta(microseconds=1)) / 60_000_000


def _in_utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: say which, for example with tzinfo=UTC")
    return moment.astimezone(UTC)

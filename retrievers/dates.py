"""Dates in metadata and filters, as intervals: ``2019`` is a year, ``2019-05-31`` a day, a time is an instant."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

__all__ = ["EPOCH", "LAST", "microseconds", "parse_date"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
_INSTANT: Final = timedelta(microseconds=1)
_DECEMBER: Final = 12
_SHORT: Final = re.compile(r"(\d{4})(?:-(\d{2}))?", re.ASCII)


def parse_date(value: object) -> tuple[datetime, datetime] | None:
    """Read a date.

    Args:
        value: A `date`, a `datetime`, or an ISO 8601 string of a year, a month, a day or a time. Without a zone: UTC.

    Returns:
        Where the time that is meant begins and where it has ended (exclusive; the calendar's last instant where it
        would lie behind that), both in UTC. None where `value` is no date.
    """
    try:
        if isinstance(value, datetime):
            return _instant(value)
        if isinstance(value, date):
            return _days(value, _next_day(value))
        return _parse_text(value.strip()) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970 in UTC; exact, where `timestamp()` rounds."""
    return (moment - EPOCH) // _INSTANT


def _parse_text(text: str) -> tuple[datetime, datetime]:
    if short := _SHORT.fullmatch(text):
        year, month = int(short[1]), int(short[2] or 1)
        begin = date(year, month, 1)
        if short[2] is None or month == _DECEMBER:
            end = date(year + 1, 1, 1) if year < date.max.year else None
        else:
            end = date(year, month + 1, 1)
        return _days(begin, end)
    if len(text) <= len("2019-05-31"):
        day = date.fromisoformat(text)
        return _days(day, _next_day(day))
    return _instant(datetime.fromisoformat(text))


def _next_day(day: date) -> date | None:
    return day + timedelta(days=1) if day < date.max else None


def _days(begin: date, end: date | None) -> tuple[datetime, datetime]:
    start = datetime(begin.year, begin.month, begin.day, tzinfo=UTC)
    return start, LAST if end is None else datetime(end.year, end.month, end.day, tzinfo=UTC)


def _instant(moment: datetime) -> tuple[datetime, datetime]:
    start = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return start, start + _INSTANT if start < LAST else LAST

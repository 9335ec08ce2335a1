"""Which calibration holds at which moment: of those that cover it, the valid one made last."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from awe.model.frame import Frame
from awe.model.lookup import Lookup, chunks

Interval = tuple[datetime, datetime, int]
"""Start, end (exclusive), and the number of what holds meanwhile."""
DAY = timedelta(days=1)


class Timeline:
    """What holds at each moment, if of intervals that overlap the later ones prevail."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        ordered = list(intervals)
        self._starts = sorted({moment for start, end, _ in ordered for moment in (start, end)})
        self._holds: list[int | None] = [None] * len(self._starts)
        for start, end, number in ordered:
            first, last = bisect_left(self._starts, start), bisect_left(self._starts, end)
            self._holds[first:last] = [number] * (last - first)

    def at(self, moment: datetime) -> int | None:
        """Return the number that holds at a moment; None if there is none.

        >>> day = [datetime(2026, 1, n) for n in range(1, 5)]
        >>> [Timeline([(day[0], day[2], 1), (day[1], day[2], 2)]).at(moment) for moment in day]
        [1, 2, None, None]
        """
        place = bisect_right(self._starts, moment) - 1
        return self._holds[place] if place >= 0 else None


class Calibrations:
    """Finds the calibration of a chip for a moment; reads those for all known exposures at once."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._of_class: dict[Any, _Timelines] = {}

    def newest(self, source: Any, like: Any, same: tuple[str, ...], moment: datetime, peers: Iterable[Any] = ()) -> Any:
        """Return the valid calibration of class `source` that covers a moment and was made last; None if none does.

        It is of the chip of `like`, and agrees with it in the attributes `same`. `peers` are exposures for which the
        same will be asked.
        """
        timelines = self._of_class.setdefault((source, same), _Timelines(self._lookup, source, same))
        found = timelines.at(tuple(_number(like, name) for name in ("chip", *same)), moment)
        if found is None:
            return None
        if not self._lookup.knows(found):
            self._lookup.read(source, {found, *timelines.of(peers)})
        return self._lookup.read(source, [found])[found]


class _Timelines:
    """The timelines of one class of calibrations for some chips and a span of time, which grow when needed."""

    def __init__(self, lookup: Lookup, source: Any, same: tuple[str, ...]) -> None:
        self._lookup = lookup
        self._source = source
        self._names = ("chip", *same)
        self._chips: set[int | None] = set()
        self._span: tuple[datetime, datetime] | None = None
        self._timelines: dict[tuple[int | None, ...], Timeline] = {}

    def at(self, of: tuple[int | None, ...], moment: datetime) -> int | None:
        if of[0] not in self._chips or self._span is None or not self._span[0] <= moment < self._span[1]:
            self._read(of[0], moment)
        return self._timelines[of].at(moment) if of in self._timelines else None

    def of(self, exposures: Iterable[Any]) -> set[int]:
        """Return the numbers of the calibrations of some exposures, as far as they are read."""
        found = (self._timelines.get(tuple(_number(e, name) for name in self._names)) for e in exposures)
        numbers = (t.at(e.date_obs) for t, e in zip(found, exposures, strict=True) if t is not None)
        return {number for number in numbers if number is not None}

    def _read(self, chip: int | None, moment: datetime) -> None:
        frames = [frame for frame in self._lookup.all(Frame) if frame.chip_id is not None]
        self._chips |= {frame.chip_id for frame in frames} | {chip}
        self._span = self._longer([frame.date_obs for frame in frames], moment)
        source = self._source
        columns = [getattr(source, f"{name}_id") for name in self._names]
        query = select(source.object_id, source.valid_from, source.valid_to, *columns)
        query = query.where(source.is_valid > 0, source.valid_from < self._span[1], source.valid_to > self._span[0])
        query = query.order_by(source.creation_date, source.object_id)
        intervals: dict[tuple[int | None, ...], list[Interval]] = {}
        for part in chunks(self._chips):
            for number, start, end, *of in self._lookup.session.execute(query.where(source.chip_id.in_(part))):
                intervals.setdefault(tuple(of), []).append((start, end, number))
        self._timelines = {of: Timeline(members) for of, members in intervals.items()}

    def _longer(self, moments: list[datetime], moment: datetime) -> tuple[datetime, datetime]:
        """Return a span with some moments in it; if it must grow, it grows by its own length, lest it must often."""
        start, end = min([*moments, moment]) - DAY, max([*moments, moment]) + DAY
        if self._span is None:
            return start, end
        before, after = self._span
        length = after - before
        start = min(start, before - length) if start < before else before
        end = max(end, after + length) if end > after else after
        return start, end


def _number(thing: Any, name: str) -> int | None:
    linked = getattr(thing, name)
    return None if linked is None else linked.object_id

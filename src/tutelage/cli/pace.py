"""How long the runs that are left will take, from those that were."""

import time
from collections.abc import Callable

__all__ = ["Pace"]


class Pace:
    """Counts runs; those that were found done took no time and say nothing of the others.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began: float | None = None
        self.total = self.over = self.worked = 0

    def begin(self, total: int) -> None:
        """Note that one of so many runs begins."""
        self.total = total
        self.began = self.clock() if self.began is None else self.began

    def skip(self) -> None:
        """Note that a run was there already."""
        self.over += 1
        if not self.worked:  # what comes before the first that works is no work
            self.began = None

    def end(self) -> str:
        """Note that a run is over; return what is left in words, empty where nothing is."""
        self.over, self.worked = self.over + 1, self.worked + 1
        left = self.total - self.over
        if self.began is None or left <= 0:
            return ""
        from tutelage.study.status import duration

        return f"about {duration(left * (self.clock() - self.began) / self.worked)} left"

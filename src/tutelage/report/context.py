"""What the panels of a page are made from, each thing asked of the run folders once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tutelage.report.drawing.epochs import Look, looks
from tutelage.report.drawing.sheet import SignalAxis
from tutelage.runs.example import ExampleWindow
from tutelage.runs.ledger import Experiment
from tutelage.runs.schema import UnreadableError
from tutelage.runs.traces import Trust, trusts
from tutelage.study.comparison import Comparison, best_student, compare, self_taught


@dataclass(frozen=True)
class ReportContext:
    """An experiment, one window to look at if there is one, and what several panels need to know.

    Args:
        experiment: what was read back.
        example: the window.
        unreadable: what to say of files that could not be read.
    """

    experiment: Experiment
    example: ExampleWindow | None = None
    unreadable: tuple[str, ...] = ()

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Every student against the baseline."""
        return compare(self.experiment)

    @cached_property
    def beyond_self(self) -> Comparison | None:
        """The best student against self-training, where that is another student of the experiment."""
        own = self_taught(self.experiment)
        if own is None or self.best in (None, own):
            return None
        others = compare(self.experiment, baseline=own)
        return next((one for one in others if one.student == self.best), None)

    @cached_property
    def best(self) -> str | None:
        """The student with the best validation accuracy."""
        return best_student(self.experiment)

    @cached_property
    def trusts(self) -> tuple[Trust, ...]:
        """How objectives weighed their teachers.

        Raises:
            UnreadableError: a file of traces is damaged.
        """
        return trusts(self.experiment)

    @cached_property
    def look(self) -> Mapping[str, Look]:
        """One colour and line for each teacher on the whole page."""
        try:
            weighed = [teacher for trust in self.trusts for teacher in trust.teachers]
        except UnreadableError:  # the section on trust says so; colours do without
            weighed = []
        return looks((*self.experiment.record.teachers, *weighed))

    def axis(self, shape: Sequence[int]) -> SignalAxis:
        """Rate and channel names of the example window, where it is of the same shape as what is shown."""
        if self.example is None or self.example.signal.shape != tuple(shape):
            return SignalAxis()
        return SignalAxis(self.example.rate, self.example.channel_names)

"""Named objectives with their coefficients."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

import torch
from torch import Tensor, nn

from tutelage.errors import UserError, within
from tutelage.objectives.base import Objective
from tutelage.schedules import GradientShare, Quantity, Schedule, value_at
from tutelage.types import Clock, Facts, Needs, View
from tutelage.weighting import Weighting

COLUMNS = ("loss", "accuracy", "classes_predicted")
"""What the log says of an epoch besides the objectives."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """An objective and its coefficient: a number or schedule, >= 0, or a share of the gradient."""

    objective: Objective
    coefficient: float | Quantity = 1.0


@dataclass(frozen=True, slots=True)
class GradientPart:
    """What an objective adds to the gradient of the student.

    Args:
        norm: of coefficient · gradient of its batch mean, over all parameters of the student.
        share: of the sum of these norms over all objectives, in [0, 1].
        cosine: of its gradient and that of the labels, in [-1, 1]; below zero they are in conflict. None for the
            labels themselves, and where there are none, or one of both gradients is zero.
    """

    norm: float
    share: float
    cosine: float | None


@dataclass(frozen=True, slots=True)
class Losses:
    """What the distiller found: the total, and each objective by name before its coefficient.

    Args:
        total: sum of coefficient · objective, [B].
        parts: each objective, [B].
        traces: what objectives want recorded, ``<objective>.<name>`` -> [B], such as the weight of a teacher.
        gradients: what each objective adds to the student's gradient, in the few steps where that is measured.
    """

    total: Tensor
    parts: Mapping[str, Tensor]
    traces: Mapping[str, Tensor] = field(default_factory=dict)
    gradients: Mapping[str, GradientPart] = field(default_factory=dict)


class Distiller(nn.Module):
    """Named objectives, each with a coefficient; the names are the columns of the log.

    Its parameters (adapters, workspaces, weight nets) are trained beside the student and dropped at export.

    Args:
        objectives: name -> objective with coefficient.

    Raises:
        UserError: there is no objective, one has a name that means something else, a constant coefficient is
            negative, or shares of the gradient leave nothing to other objectives.

    Examples:
        >>> from tutelage.objectives import Labels
        >>> list(Distiller({"labels": Weighted(Labels())}).objectives)
        ['labels']
    """

    settled: Tensor | None

    def __init__(self, objectives: Mapping[str, Weighted]) -> None:
        super().__init__()
        if not objectives:
            raise UserError("distiller: there is no objective, so nothing would train")
        for name, item in objectives.items():
            _check_name(name)
            within("[0, inf)", **{f"distiller.{name}.coefficient": item.coefficient})
        self.objectives = nn.ModuleDict({name: item.objective for name, item in objectives.items()})
        self.coefficients = {name: item.coefficient for name, item in objectives.items()}
        _check_shares(self.shares, len(objectives))
        unknown = torch.full((len(self.shares),), torch.nan, dtype=torch.float64)
        # A part of the state: a resumed run goes on with the numbers that it began with.
        self.register_buffer("settled", unknown if len(unknown) else None)

    @property
    def shares(self) -> dict[str, float]:
        """The objectives whose coefficient is a share of the gradient, in order."""
        named = self.coefficients.items()
        return {name: c.share for name, c in named if isinstance(c, GradientShare)}

    def settle(self, coefficients: Mapping[str, float]) -> None:
        """Say what the shares of the gradient are as numbers, by objective."""
        assert self.settled is not None, "an objective has a share"
        values = [coefficients[name] for name in self.shares]
        self.settled.copy_(torch.tensor(values, dtype=torch.float64))

    def coefficient(self, name: str, clock: Clock) -> float | Tensor:
        """Return the coefficient of an objective at this time: NaN where it is a share that is not settled yet."""
        value = self.coefficients[name]
        if isinstance(value, float | int | Schedule):
            return value_at(value, clock)
        assert self.settled is not None, "an objective has a share"
        return self.settled[list(self.shares).index(name)]

    def needs(self) -> Needs:
        """Return everything the objectives read of the teachers besides logits."""
        return reduce(or_, (self._named(name).needs() for name in self.objectives))

    def prepare(self, facts: Facts) -> None:
        """Let every objective build what it needs from one dry run.

        Raises:
            UserError: an objective does not fit the facts; the sentence names the objective.
        """
        for name in self.objectives:
            try:
                self._named(name).prepare(facts)
            except (ValueError, KeyError) as error:
                raise UserError(f"distiller.{name}: {error}") from error

    def meta_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that only a meta step may train: those of weightings marked ``meta``."""
        learned = [m for m in self.modules() if isinstance(m, Weighting) and m.meta]
        return [parameter for weighting in learned for parameter in weighting.parameters()]

    def forward(self, view: View, only: Collection[str] | None = None) -> Losses:
        """Return total and parts of one batch.

        An objective whose coefficient is 0 at this time is still computed and logged; its gradient is
        exactly zero.

        Args:
            view: what the objectives may look at.
            only: names of the objectives to compute; all of them unless given.
        """
        names = [name for name in self.objectives if only is None or name in only]
        judged = {name: self._named(name).judge(view) for name in names}
        scaled = [self.coefficient(n, view.clock) * j.loss for n, j in judged.items()]
        traces = {f"{n}.{key}": v for n, j in judged.items() for key, v in j.traces.items()}
        parts = {name: each.loss for name, each in judged.items()}
        return Losses(torch.stack(scaled).sum(dim=0), parts, traces)

    def _named(self, name: str) -> Objective:
        objective = self.objectives[name]
        assert isinstance(objective, Objective)
        return objective


def _check_shares(shares: Mapping[str, float], objectives: int) -> None:
    """Refuse shares that leave nothing to objectives of a known coefficient, against which they are settled."""
    total = sum(shares.values())
    if total >= 1:
        raise UserError(
            f"distiller: the gradient shares of {', '.join(shares)} are {total:g} together; allowed: less than 1, "
            "the rest is that of the other objectives"
        )
    if shares and len(shares) == objectives:
        raise UserError(
            "distiller: every coefficient is a GradientShare; allowed: at least one number or schedule, against "
            "which shares are settled"
        )


def _check_name(name: str) -> None:
    """Refuse names that a column of the log or the container of the objectives has already."""
    if not name or "." in name:
        raise UserError(
            f"distiller: found an objective named {name!r}; allowed: a name without a dot"
        )
    if name in COLUMNS:
        raise UserError(
            f"distiller.{name}: the log has a column of this name already; allowed: any name but "
            f"{', '.join(COLUMNS)}"
        )
    if name in dir(nn.ModuleDict):
        raise UserError(
            f"distiller.{name}: networks use this name themselves; allowed: another one"
        )

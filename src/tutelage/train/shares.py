"""Coefficients that are stated as a share of the gradient become numbers, before the first step."""

from collections.abc import Mapping
from itertools import islice
from statistics import median

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.ranks import Ranks
from tutelage.steps.base import Device
from tutelage.steps.gradient_parts import gradients_of, norm_of
from tutelage.train.epoch import TrainingEpoch
from tutelage.train.settings import Settings, Training
from tutelage.types import Batch, Clock, Output, View

__all__ = ["settle", "solve"]

STEPS = 16
"""Batches of the first epoch whose median counts."""


def settle(training: Training, settings: Settings, device: Device) -> dict[str, float]:
    """Settle the coefficients of a distiller that are shares of the gradient; return them as numbers.

    The first batches of training are passed as the first epoch will pass them, without moving a parameter: then
    student and distiller are as they were, down to their running statistics.

    Args:
        training: who learns, from whom, on what.
        settings: length and order.
        device: where the networks are.

    Raises:
        UserError: no gradient to take a share of reaches the student.
    """
    distiller = training.distiller
    if not distiller.shares:
        return {}
    steps = len(training.train) // settings.batch_size
    clock = Clock(0, 0, settings.epochs, steps)
    modules = {"student": training.student, "distiller": distiller}
    before = {name: _copied(module) for name, module in modules.items()}
    # A compiled graph is gone through once only; as it was written, for every objective.
    with torch.compiler.set_stance("force_eager"):
        found = [
            _batch(training, device, batch, outputs, now)
            for batch, outputs, now in islice(
                TrainingEpoch(training, settings, device, clock), STEPS
            )
        ]
    for name, module in modules.items():
        module.load_state_dict(before[name])
    coefficients = {name: median(one[name] for one in found) for name in distiller.shares}
    distiller.settle(coefficients)
    return coefficients


def solve(
    norms: Mapping[str, float], fixed: Mapping[str, float], shares: Mapping[str, float]
) -> dict[str, float]:
    """Return the coefficients that give objectives their shares of the sum of norms.

    Args:
        norms: of the gradient of every objective, by name.
        fixed: coefficients that are known.
        shares: wanted of the others, less than 1 together.

    Raises:
        UserError: no gradient to take a share of.

    Examples:
        >>> solve({"labels": 2.0, "soft": 0.5}, {"labels": 1.0}, {"soft": 0.2})
        {'soft': 1.0}
    """
    known = sum(fixed[name] * norms[name] for name in fixed)
    whole = known / (1 - sum(shares.values()))
    for name in shares:
        if not 0 < norms[name] < float("inf") or not 0 < whole < float("inf"):
            raise UserError(
                f"distiller.{name}.coefficient: GradientShare finds no gradient to take a share of: its own has "
                f"norm {norms[name]:g}, those of the other objectives, with their coefficients, {known:g} in the "
                "first steps; allowed: a number"
            )
    return {name: share * whole / norms[name] for name, share in shares.items()}


def _batch(
    training: Training, device: Device, batch: Batch, outputs: Mapping[str, Output], clock: Clock
) -> dict[str, float]:
    """Return the coefficients that one batch asks for."""
    student, distiller = training.student, training.distiller
    ranks = device if isinstance(device, Ranks) else None
    with device.autocast():
        output = ranks.forward(student, batch) if ranks else student(batch)
        losses = distiller(View(output, outputs, batch, clock))
    mine = [p for p in student.parameters() if p.requires_grad]
    gradients = gradients_of(list(losses.parts.values()), mine, ranks)
    norms = {n: norm_of(g) for n, g in zip(losses.parts, gradients, strict=True)}
    fixed = {n: float(distiller.coefficient(n, clock)) for n in norms if n not in distiller.shares}
    return solve(norms, fixed, distiller.shares)


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: values.clone() for name, values in module.state_dict().items()}

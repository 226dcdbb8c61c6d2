"""What is worth looking at after training: inner values of validation samples, other modes of a prediction."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.batches import Samples, batches
from tutelage.evaluate import monitor, predict
from tutelage.models import On
from tutelage.objectives import Objective
from tutelage.runs.inspection import Inspection
from tutelage.steps.base import Device
from tutelage.teachers import LiveTeachers
from tutelage.training.assemble import Assembled
from tutelage.types import Clock, View

__all__ = ["assess_variants", "inspect"]

_KEPT = 1000  # validation samples whose inner values are kept
_EXAMPLES = 2  # samples of each class whose inputs are kept


def inspect(made: Assembled) -> Inspection | None:
    """Return what the objectives show of validation samples after the last epoch, with live teachers.

    Evenly spaced samples are taken where there are very many.

    Args:
        made: the run after training.

    Returns:
        None where no objective shows anything.
    """
    objectives = {
        name: objective
        for name, objective in made.distiller.objectives.items()
        if isinstance(objective, Objective) and type(objective).inspect is not Objective.inspect
    }
    validation = made.sides["validation"]
    if not objectives or not len(validation):
        return None
    positions = torch.linspace(0, len(validation) - 1, min(_KEPT, len(validation))).long()
    index = validation[positions]
    shown = _shown(made, objectives, index)
    samples = made.subset.samples
    labels = samples.labels[index]
    classes = sorted(set(labels.tolist()))
    examples = torch.cat([(labels == c).nonzero()[:_EXAMPLES, 0] for c in classes])
    inputs = samples.take(index[examples]).inputs[made.student.modality]
    return Inspection(
        index.numpy(), labels.numpy(), examples.numpy(), inputs.numpy(),
        {name: values.numpy() for name, values in shown.items()},
    )  # fmt: skip


def _shown(
    made: Assembled, objectives: Mapping[str, Objective], index: Tensor
) -> dict[str, Tensor]:
    """Return ``<objective>.<name>`` -> [n, ...]."""
    made.student.eval()
    made.distiller.eval()
    teachers = LiveTeachers(made.teachers, made.distiller.needs())
    parts: dict[str, list[Tensor]] = {}
    for taken in batches(made.subset.samples, index, 128):
        batch = taken.to(made.fabric.device)
        with torch.no_grad(), made.fabric.autocast():
            view = View(made.student(batch), teachers(batch), batch, Clock())
            for name, objective in objectives.items():
                for key, values in objective.inspect(view).items():
                    parts.setdefault(f"{name}.{key}", []).append(values.float().cpu())
    return {name: torch.cat(values) for name, values in parts.items()}


def assess_variants(
    network: On, samples: Samples, index: Tensor, fabric: Device
) -> dict[str, dict[str, float]]:
    """Return what a network predicts in its other modes; empty for a network that has none.

    Args:
        network: such as a workspace.
        samples: the data.
        index: sample ids.
        fabric: device and precision.
    """
    inner = network.network
    labels = samples.labels[index]
    found = {}
    for mode in inner.variants:
        with inner.predicting(mode):
            logits = predict(network, samples, index, context=fabric.autocast)
        found[mode] = monitor(logits, labels)
    return found

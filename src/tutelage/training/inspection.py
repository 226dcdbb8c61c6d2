"""What is worth looking at after training: inner values of validation samples, other modes of a prediction."""

from dataclasses import replace

import torch
from torch import Tensor

from tutelage.batches import Samples, batches
from tutelage.evaluate import monitor, predict
from tutelage.models import On
from tutelage.objectives import Objective
from tutelage.runs.folder import RunFolder
from tutelage.steps.base import Device
from tutelage.teachers import LiveTeachers
from tutelage.training.stage import Ready
from tutelage.types import Clock, View

__all__ = ["assess_variants", "inspect"]

_KEPT = 1000  # validation samples whose inner values are kept
_EXAMPLES = 2  # samples of each class whose inputs are kept


def inspect(
    folder: RunFolder, ready: Ready, validation: Tensor, modality: str, fabric: Device
) -> None:
    """Keep what the objectives show of validation samples after the last epoch, with live teachers.

    Args:
        folder: of the run; nothing is written where no objective shows anything.
        ready: the stage after training.
        validation: sample ids; evenly spaced ones are taken where there are very many.
        modality: the student's.
        fabric: device and precision.
    """
    objectives = {
        name: objective
        for name, objective in ready.distiller.objectives.items()
        if isinstance(objective, Objective) and type(objective).inspect is not Objective.inspect
    }
    if not objectives or not len(validation):
        return
    places = torch.linspace(0, len(validation) - 1, min(_KEPT, len(validation))).long()
    index = validation[places]
    ready.student.eval()
    ready.distiller.eval()
    teachers = LiveTeachers(ready.teachers, ready.distiller.needs())
    parts: dict[str, list[Tensor]] = {}
    for taken in batches(ready.samples, index, 128):
        inputs = {name: x.to(fabric.device) for name, x in taken.inputs.items()}
        batch = replace(taken, inputs=inputs, labels=taken.labels.to(fabric.device))
        with torch.no_grad(), fabric.autocast():
            view = View(ready.student(batch), teachers(batch), batch, Clock())
            for name, objective in objectives.items():
                for key, values in objective.inspect(view).items():
                    parts.setdefault(f"{name}.{key}", []).append(values.float().cpu())
    labels = ready.samples.labels[index]
    classes = sorted(set(labels.tolist()))
    examples = torch.cat([(labels == c).nonzero()[:_EXAMPLES, 0] for c in classes])
    shown = ready.samples.take(index[examples]).inputs[modality]
    found = {name: torch.cat(values) for name, values in parts.items()}
    folder.inspection(index, labels, examples, shown, found)


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

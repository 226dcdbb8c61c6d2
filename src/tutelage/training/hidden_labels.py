"""What reads labels that are hidden is refused before anything is trained."""

from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor

from tutelage.errors import UserError
from tutelage.objectives import Objective
from tutelage.training.assemble import Assembled
from tutelage.types import Batch, Clock, View

__all__ = ["refuse_hidden"]


def refuse_hidden(made: Assembled, index: Tensor, *, none: bool) -> None:
    """Refuse whatever says something else when the labels that are hidden are others.

    Args:
        made: the run, on a few samples whose labels are all known.
        index: ids of its training samples.
        none: all labels are hidden, so that reading any is a mistake; else those of some samples are.

    Raises:
        UserError: the sampler, the network, the step or an objective reads them; which one, and what is allowed.
    """
    place = made.spec.place
    wanted = "allowed: what reads no labels, or unlabelled: false" if none else \
        "allowed: what can do without some of them, as Labels and SoftTargets can, or shown: labelled"  # fmt: skip
    if made.spec.train.sampler == "class_aware":
        raise UserError(
            f"{place}.train.sampler: class_aware reads labels, which are hidden ({wanted})"
        )
    if made.spec.train.step["type"] == "BilevelStep":
        raise UserError(
            f"{place}.train.step: BilevelStep reads labels, which are hidden ({wanted})"
        )
    if made.student.network.fits_labels():
        raise UserError(f"{place}.network: it is settled by labels, which are hidden ({wanted})")
    one, other = _batches(made, index, none)
    made.student.train()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        teachers = {name: teacher.eval()(one) for name, teacher in made.teachers.items()}
        student = made.student(one)
        for key, objective in made.distiller.objectives.items():
            assert isinstance(objective, Objective)
            views = [View(student, teachers, batch, Clock()) for batch in (one, other)]
            if not _same(objective, *views):
                raise UserError(
                    f"{place}.distiller.{key}: reads labels, which are hidden ({wanted})"
                )


def _batches(made: Assembled, index: Tensor, none: bool) -> tuple[Batch, Batch]:
    """Return a batch twice, with other labels where they are hidden.

    Where some are, every second label is no class: -1 for all of them, and another number for each of them. So
    what takes -1 for a class, or for the last one, and what takes it for one that they all share, is found.
    """
    batch = made.samples.take(index)
    if none:
        classes = len(made.samples.class_names)
        return batch, replace(batch, labels=(batch.labels + 1) % classes)
    places = torch.arange(len(index))
    hidden = places % 2 == 1
    labels = (batch.labels.masked_fill(hidden, -1), batch.labels.where(~hidden, -1 - places))
    return replace(batch, labels=labels[0]), replace(batch, labels=labels[1])


def _same(objective: Objective, one: View, other: View) -> bool:
    """Whether an objective says the same of both; what cannot answer at all reads them."""
    said = []
    for view in (one, other):
        torch.manual_seed(0)
        try:
            # A copy: an objective may remember what it was asked before.
            said.append(deepcopy(objective)(view))
        except (IndexError, RuntimeError):  # a label that is no class
            return False
    return torch.equal(*said)

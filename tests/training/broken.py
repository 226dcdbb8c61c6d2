"""Objectives with the defects of published code, for the dry run to find."""

import torch
from torch import nn

from tutelage.objectives import Objective


class Cut(Objective):
    """A loss cut from the graph, as ``torch.tensor(list_of_losses)`` does."""

    def forward(self, view):
        return torch.tensor([float(x.detach()) for x in view.student.logits.sum(1)])


class Idle(Objective):
    """A parameter that nothing uses."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, view):
        return view.student.logits.square().sum(1)


class Scalar(Objective):
    """A batch mean where one number per sample is due."""

    def forward(self, view):
        return view.student.logits.square().mean()


class Leak(Objective):
    """A comparison that forgets to detach the teacher."""

    def forward(self, view):
        return (view.student.logits - view.teachers["sig"].logits).square().sum(1)


class Explode(Objective):
    """Becomes infinite after the first epoch."""

    def forward(self, view):
        scale = float("inf") if view.clock.epoch else 1.0
        return view.student.logits.square().sum(1) * scale


class Flatten(Objective):
    """Pulls every sample to the first class."""

    def forward(self, view):
        return nn.functional.cross_entropy(
            view.student.logits, torch.zeros_like(view.batch.labels), reduction="none"
        )

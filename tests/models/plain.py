"""Modules as a user may have them: plain ones, and ones that write some of what networks may do."""

import torch
from torch import nn

from tutelage.types import Output


class Plain(nn.Module):
    """A module that knows nothing of this package but its output; one part only acts in training."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.head = nn.Linear(channels, classes)
        self.shift = nn.Parameter(torch.zeros(classes))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.seen += 1
        return Output(self.head(self.norm(x)) + self.shift)


class Chosen(Plain):
    """One that is fitted once, restricted and asked, under the names that networks have for it."""

    as_is = True

    def __init__(self, channels: int, class_names: list[str]) -> None:
        super().__init__(channels, len(class_names))
        self.class_names = tuple(class_names)
        self.competing: tuple[str, ...] = ()

    @classmethod
    def content(cls, described):
        return f"file {described['file']}"

    def fit_once(self, inputs, labels, class_names):
        return {"file": f"{len(inputs)} samples"}

    def ask(self, class_names):
        self.class_names = tuple(class_names)

    def restrict_classes(self, class_names):
        self.competing = tuple(class_names)

"""Learning from hard labels."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from tutelage import losses
from tutelage.objectives.base import Objective
from tutelage.types import Facts, View


class Labels(Objective):
    """Cross entropy with the true classes; class-weighted and focal on request.

    Where a batch holds samples without a label (-1) as well, only those with a label count: their losses are
    scaled so that the mean over the batch is the mean over them, and the loss of the others is 0.

    Args:
        class_weights: None, one weight per class, or ``balanced``: N / (C · count), from the training
            split alone; a class without training samples gets weight 0.
        focal_gamma: focusing exponent; 0 is plain cross entropy.
        label_smoothing: mass spread over all classes, in [0, 1).
        logit_scaling: ``std`` divides the logits of each sample by their own standard deviation first.

    Shapes:
        student logits [B, C], labels [B] -> [B].

    Source:
        See :func:`tutelage.losses.cross_entropy`; ``std`` is what the released code of TDA_KD trains with, see
        :func:`tutelage.losses.spread_scaled`.
    """

    weights: Tensor | None

    def __init__(
        self,
        class_weights: Literal["balanced"] | Sequence[float] | None = None,
        focal_gamma: float = 0.0,
        label_smoothing: float = 0.0,
        logit_scaling: Literal["std"] | None = None,
    ) -> None:
        super().__init__()
        self.balanced = class_weights == "balanced"
        given = None if self.balanced or class_weights is None else list(class_weights)
        self.register_buffer("weights", None if given is None else torch.tensor(given).float())
        self.focal_gamma = focal_gamma
        self.label_smoothing = label_smoothing
        self.logit_scaling = logit_scaling

    def prepare(self, facts: Facts) -> None:
        """Turn ``balanced`` into weights and compare the number of weights with the classes."""
        counts = facts.class_counts
        if self.balanced:
            balanced = counts.sum() / (len(counts) * counts.clamp_min(1))
            self.weights = torch.where(counts > 0, balanced, 0.0).float()
        elif self.weights is not None and len(self.weights) != len(counts):
            raise ValueError(
                f"class_weights: {len(self.weights)} weights for {len(counts)} classes"
            )

    def forward(self, view: View) -> Tensor:
        """Return the loss of each sample, [B], in nats; of a mixed input, that of both classes by their share."""
        logits = view.student.logits
        if self.logit_scaling == "std":
            logits = losses.spread_scaled(logits)
        return view.batch.by_label(partial(self._among_labelled, logits))

    def _among_labelled(self, logits: Tensor, labels: Tensor) -> Tensor:
        known = labels >= 0
        values = losses.cross_entropy(
            logits,
            labels.clamp_min(0),
            class_weights=self.weights,
            focal_gamma=self.focal_gamma,
            label_smoothing=self.label_smoothing,
        )
        return values.where(known, 0.0) * (len(labels) / known.sum().clamp_min(1))

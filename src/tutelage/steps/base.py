"""The interface of a step."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.objectives import Distiller, Losses
from tutelage.types import Batch, Clock, Output


class Device(Protocol):
    """What a step needs of Lightning Fabric: where tensors live, in which precision, and backward."""

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        ...

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the precision context of forward passes."""
        ...

    def backward(self, tensor: Tensor) -> None:
        """Back-propagate, scaled where the precision asks for it."""
        ...


class Stepper(Protocol):
    """A step bound to one student and one distiller."""

    def __call__(
        self, batch: Batch, teachers: Mapping[str, Output], clock: Clock
    ) -> tuple[Losses, Output]:
        """Make one step; return the losses before it and the student's output."""
        ...

    def state(self) -> dict[str, Any]:
        """Return everything needed to go on: optimizer states as nested dicts of tensors and numbers."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take a state back."""
        ...


class Step(Protocol):
    """A rule for moving parameters, not yet bound to any."""

    def bind(self, device: Device, student: nn.Module, distiller: Distiller) -> Stepper:
        """Make the optimizers for these parameters."""
        ...


def refuse_meta(step: str, distiller: Distiller) -> None:
    """Refuse weights over teachers that this step would not train.

    Raises:
        UserError: a weighting of the distiller is learned by a meta step.
    """
    if distiller.meta_parameters():
        raise UserError(
            f"train.step: the weights over teachers are learned by a meta step, and {step} makes none "
            "(their own loss would only teach them to prefer the teacher that is easiest to match); "
            "use step: {type: BilevelStep}"
        )

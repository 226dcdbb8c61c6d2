"""Persistence images of signals as a layer of a network, with a gradient to the signal."""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tutelage.errors import UserError
from tutelage.modalities.base import checked
from tutelage.modalities.persistence_image import PersistenceImage
from tutelage.modalities.settings import SIGNS, pair
from tutelage.modalities.topology.gradient import signal_gradients, signal_images
from tutelage.modalities.topology.kernel import Array, in_threads
from tutelage.modalities.topology.raster import image_axes

PLACE = "PersistenceImageLayer"
ALLOWED: dict[str, tuple[str, ...]] = {
    "filtration": ("sublevel", "superlevel"),
    "normalize": ("max", "none"),
    "dtype": ("float32",),
    "cells": ("full",),
    "kind_": ("signal",),
}


class PersistenceImageLayer(torch.nn.Module):
    """The images of a fitted :class:`PersistenceImage`, differentiable by the signal.

    Birth and death of a pair are the values of the signal at a minimum and at the maximum that
    separates it from a lower one, so the gradient of an image reaches the signal at those samples.
    Of equal samples the first is taken; a pair at the edge of ``min_persistence`` and equal largest
    pixels are corners of the same kind. The layer has no parameters and nothing to save; it
    computes on the CPU, and tensors of another device are copied there and back.

    Args:
        image: fitted on signals; ``filtration`` sublevel or superlevel, ``normalize`` max or none,
            ``cells`` full, ``dtype`` float32. What is changed in it later has no effect here.

    Raises:
        UserError: ``image`` is not fitted, or has a setting without a gradient here.

    Examples:
        >>> image = PersistenceImage(resolution=4).fit(np.array([[[0.0, 2.0, 1.0, 3.0, 0.5]]]))
        >>> signal = torch.tensor([[[0.0, 2.0, 1.0, 3.0, 0.5]]], requires_grad=True)
        >>> PersistenceImageLayer(image)(signal).shape
        torch.Size([1, 1, 4, 4])
    """

    def __init__(self, image: PersistenceImage) -> None:
        super().__init__()
        if "kind_" not in vars(image):
            raise UserError(f"{PLACE}.image: found one that is not fitted, allowed: after fit")
        for name, allowed in ALLOWED.items():
            setting = getattr(image, name)
            if setting not in allowed:
                raise UserError(
                    f"{PLACE}.image: found {name.rstrip('_')} {setting!r}, "
                    f"allowed: {' or '.join(map(repr, allowed))}"
                )
        columns, rows = image.cell_rows()
        self.channels = image.n_channels_in_
        self.resolution = pair(image.resolution)
        self.n_jobs = image.n_jobs
        self.sign = SIGNS[image.filtration][0]
        self.rule = image.rule()
        self.axes = image_axes(columns, rows)
        self.slopes = columns.derivative_table().ravel(), rows.derivative_table().ravel()

    def forward(self, signals: Tensor) -> Tensor:
        """Return the images of signals.

        Args:
            signals: finite, of any floating type, [B, C, L].

        Returns:
            Images as ``PersistenceImage.transform`` makes them, [B, C, H, W], float32.

        Raises:
            UserError: wrong shape or type, or values that are not finite.
        """
        shape = list(signals.shape)
        if len(shape) != 3 or shape[1] != self.channels or shape[2] == 0:
            raise UserError(
                f"{PLACE}: found signals of shape {shape}, "
                f"allowed: [batch, {self.channels}, time], time not 0"
            )
        if not signals.is_floating_point():
            raise UserError(f"{PLACE}: found type {signals.dtype}, allowed: a floating type")
        return cast(Tensor, _Images.apply(signals, self))


def _numbers(signals: Tensor) -> Array:
    """Return finite float64 in the memory of the processor."""
    return checked(signals.detach().to("cpu", torch.float64).numpy(), PLACE)


class _Images(torch.autograd.Function):
    """Both directions of :class:`PersistenceImageLayer`."""

    @staticmethod
    def forward(ctx: Any, signals: Tensor, layer: PersistenceImageLayer) -> Tensor:
        """Draw the images; keep the indices of the pairs."""
        lines = _numbers(signals)
        batch, channels, length = lines.shape
        images = torch.empty((batch, channels, *layer.resolution))
        drawn = images.numpy()
        pairs = np.empty((batch, channels, length // 2 + 1, 2), np.int32)
        counts, peaks = np.zeros((2, batch, channels), np.int32)

        def work(a: int, b: int) -> None:
            kept = pairs[a:b], counts[a:b], peaks[a:b]
            signal_images(lines[a:b], layer.sign, layer.rule, layer.axes, drawn[a:b], *kept)

        in_threads(work, batch, layer.n_jobs)
        ctx.save_for_backward(signals)
        ctx.layer, ctx.kept = layer, (pairs, counts, peaks)
        return images.to(signals.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        """Carry the gradient of the images to the samples that make the pairs."""
        layer = ctx.layer
        (signals,) = ctx.saved_tensors
        lines = _numbers(signals)
        given = upstream.detach().to("cpu", torch.float32).contiguous().numpy()
        gradients = np.zeros(lines.shape)

        def work(a: int, b: int) -> None:
            kept = tuple(array[a:b] for array in ctx.kept)
            signal_gradients(
                lines[a:b], layer.sign, layer.rule, layer.axes, layer.slopes, kept,
                given[a:b], gradients[a:b],
            )  # fmt: skip

        in_threads(work, lines.shape[0], layer.n_jobs)
        return torch.from_numpy(gradients).to(signals.device, signals.dtype), None

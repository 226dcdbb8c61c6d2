"""Attributions that need no concepts, by captum: what to compare an explanation with."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tutelage.errors import UserError
from tutelage.interpret.curves import Logits
from tutelage.interpret.network import require_places
from tutelage.interpret.places import place_of


def integrated_gradients(
    logits: Logits, x: Tensor, classes: Tensor, *, baseline: Tensor | None = None, steps: int = 50
) -> Tensor:
    """Return the path integral of the gradient of a class's logit, entry by entry, shaped as ``x``.

    Args:
        logits: from standardised inputs [B, channels, ...] to [B, N]; differentiable.
        x: the inputs.
        classes: class of each sample, [B].
        baseline: start of the path, of a shape that fits ``x``; zeros unless given.
        steps: points of the integral.

    Raises:
        UserError: captum is not installed.

    Source:
        Sundararajan, Taly, Yan 2017, arXiv:1703.01365; captum's ``IntegratedGradients``.
    """
    attribution = _captum().IntegratedGradients(logits)
    blank = torch.zeros_like(x) if baseline is None else baseline.expand_as(x)
    found: Tensor = attribution.attribute(
        x, baselines=blank, target=classes, n_steps=steps, internal_batch_size=len(x)
    )
    return found.detach()


def occlusion(
    logits: Logits,
    x: Tensor,
    classes: Tensor,
    space: Sequence[int],
    *,
    baseline: Tensor | None = None,
) -> Tensor:
    """Return how much a class's logit falls when one place is blotted out, [B, *space].

    Args:
        logits: from standardised inputs [B, channels, ...] to [B, N].
        x: the inputs.
        classes: class of each sample, [B].
        space: places along each axis.
        baseline: what stands for a place that is gone, of a shape that fits ``x``; zeros unless given.

    Raises:
        UserError: captum is not installed.

    Source:
        Zeiler, Fergus 2014, arXiv:1311.2901, sec. 4.2; captum's ``FeatureAblation``, with a place as a feature.
    """
    require_places(x.shape, space)
    owner = place_of(x.shape[2:], space).to(x.device)
    blank = torch.zeros_like(x) if baseline is None else baseline.expand_as(x)
    with torch.no_grad():
        found: Tensor = (
            _captum()
            .FeatureAblation(logits)
            .attribute(
                x, baselines=blank, target=classes, feature_mask=owner.expand(1, 1, *owner.shape)
            )
        )
    # Each entry of a place holds the fall that the whole place makes: one of them is enough.
    first = torch.stack(
        [(owner.flatten() == n).nonzero()[0, 0] for n in range(int(owner.max()) + 1)]
    )
    return found[:, 0].flatten(1)[:, first].view(len(found), *space)


def _captum() -> Any:
    try:
        from captum import attr
    except ImportError:
        raise UserError(
            "attributions: captum is not installed; pip install captum (it is in the extra 'dev')"
        ) from None
    return attr

"""Samples of a batch mixed with one another."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

import numpy as np
import torch
from torch import Tensor

from tutelage.augment.base import Mix
from tutelage.errors import UserError
from tutelage.types import Batch, Output


@dataclass(frozen=True)
class Mixup(Mix):
    """Each input becomes a weighted mean of itself and another sample of the batch.

    The partners are a random permutation of the batch, the same for all modalities; so is the weight.
    Annotated concepts stay those of the sample itself.

    Args:
        alpha: both parameters of the Beta distribution of the weight; > 0.
        per_sample: draw a weight for each sample instead of one for the batch.

    Shapes:
        Inputs [B, ...] keep their shape; floating-point inputs keep their type, all others become float32
        (rounding a mean would change it).

    Source:
        Zhang et al. 2018, arXiv:1710.09412. Authors' symbols: alpha, lambda = ``share``. As in the authors'
        code, one weight for the batch unless ``per_sample``.
    """

    alpha: float = 1.0
    per_sample: bool = False

    def __post_init__(self) -> None:
        _check_alpha("Mixup", self.alpha)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the mixed batch."""
        count = len(batch.labels)
        partners = torch.randperm(count, generator=generator)
        share = _shares(self.alpha, count, self.per_sample, generator)
        inputs = {name: _mean(x, x[partners], share) for name, x in batch.inputs.items()}
        return _mixed(batch, inputs, partners, share)


@dataclass(frozen=True)
class CutMix(Mix):
    """A box of each input is replaced by the same box of another sample of the batch.

    The box is a rectangle of a picture, an interval of a signal; all modalities of the batch share it, and
    need the same size. ``share`` is the part that is left, counted in pixels after the box was cut off
    at the border. Annotated concepts stay those of the sample itself.

    Args:
        alpha: both parameters of the Beta distribution of the part that is left; > 0.
        per_sample: draw part and box for each sample instead of one for the batch.

    Shapes:
        Inputs [B, channels, ...] keep shape and type.

    Source:
        Yun et al. 2019, arXiv:1905.04899, sec. 3.1. Authors' symbols: lambda = ``share``. Their box on a
        picture has sides sqrt(1 - lambda) of the picture's; on a signal we take an interval of 1 - lambda.
    """

    alpha: float = 1.0
    per_sample: bool = False

    def __post_init__(self) -> None:
        _check_alpha("CutMix", self.alpha)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the mixed batch.

        Raises:
            UserError: the modalities differ in size.
        """
        count = len(batch.labels)
        sizes = {name: tuple(x.shape[2:]) for name, x in batch.inputs.items()}
        first = next(iter(sizes))
        for name, size in sizes.items():
            if size != sizes[first] or not size:
                raise UserError(
                    f"CutMix: found {name!r} of size {list(size)} and {first!r} of {list(sizes[first])}; "
                    "allowed is one size for all modalities of a batch, with at least one axis after "
                    "the channels (Mixup takes any)"
                )
        partners = torch.randperm(count, generator=generator)
        wanted = _shares(self.alpha, count, self.per_sample, generator)
        inside = self._boxes(wanted, sizes[first], generator)
        inputs = {
            name: torch.where(inside[:, None].to(x.device), x[partners], x)
            for name, x in batch.inputs.items()
        }
        share = 1 - inside.flatten(1).float().mean(dim=1)
        return _mixed(batch, inputs, partners, share)

    def _boxes(self, share: Tensor, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Return True inside the box, [B, ...]."""
        draws = len(share) if self.per_sample else 1
        inside = torch.ones(len(share), *size, dtype=torch.bool)
        for axis, length in enumerate(size):
            side = (length * (1 - share).clamp_min(0) ** (1 / len(size))).long()
            middle = torch.randint(0, length, (draws,), generator=generator).expand(len(share))
            position = torch.arange(length)
            # Both ends are half a side from the middle, and cut off at the border, as in the paper's code.
            within = (position >= (middle - side // 2)[:, None]) & (
                position < (middle + side // 2)[:, None]
            )
            shape = [len(share)] + [1] * len(size)
            shape[1 + axis] = length
            inside &= within.view(shape)
        return inside


def _mixed(batch: Batch, inputs: Mapping[str, Tensor], partners: Tensor, share: Tensor) -> Batch:
    return replace(
        batch,
        inputs=inputs,
        partner=batch.labels[partners],
        share=share,
        partner_index=batch.index[partners],
    )


def of_mixtures(outputs: Mapping[str, Output], batch: Batch, mixed: Batch) -> dict[str, Output]:
    """Return what teachers say of a mixed batch, from what they said of its samples.

    The probabilities of both samples are mixed by share; logits are the logarithms of that mixture. There is no
    such rule for features, so they are left out.

    Args:
        outputs: of the teachers on ``batch``.
        batch: before its samples were mixed.
        mixed: afterwards.
    """
    assert mixed.partner_index is not None and mixed.share is not None, "it is mixed"
    # The first sample with this id: a sampler may draw one twice.
    partners = (batch.index == mixed.partner_index[:, None]).int().argmax(dim=1)
    shares = torch.stack([mixed.share, 1 - mixed.share]).log()[:, :, None]

    def mixture(logits: Tensor) -> Tensor:
        known = torch.log_softmax(logits.float(), dim=1)
        both = torch.stack([known, known[partners.to(known.device)]])
        return torch.logsumexp(both + shares.to(known.device), dim=0)

    return {name: Output(mixture(output.logits)) for name, output in outputs.items()}


def _check_alpha(name: str, alpha: float) -> None:
    if not 0 < alpha < inf:
        raise UserError(f"{name}.alpha: found {alpha}, allowed are numbers above 0")


def _shares(alpha: float, count: int, per_sample: bool, generator: torch.Generator) -> Tensor:
    """Return draws from Beta(alpha, alpha), [count] float32; all equal unless ``per_sample``."""
    # torch draws Beta from its global stream only; NumPy's is seeded from ours.
    seed = int(torch.randint(2**62, (), generator=generator))
    drawn = np.random.default_rng(seed).beta(alpha, alpha, count if per_sample else 1)
    return torch.from_numpy(drawn).float().expand(count).clone()


def _mean(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    kind = own.dtype if own.is_floating_point() else torch.float32
    weight = share.view(-1, *[1] * (own.ndim - 1)).to(own.device, kind)
    return weight * own.to(kind) + (1 - weight) * other.to(kind)

"""Explanations beside inputs that are changed a little, or in part: infidelity and largest sensitivity."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tutelage.interpret.curves import Logits
from tutelage.interpret.network import of_class, require_places
from tutelage.interpret.places import place_of

Perturb = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""From inputs [B, channels, ...]: what is taken away, shaped as the explanation, and the inputs without it."""
Explain = Callable[[Tensor, Tensor], Tensor]
"""From inputs [n, channels, ...] and classes [n] to explanations, [n, ...]."""


@dataclass(frozen=True)
class Infidelity:
    """How far an explanation is from what the network does when its inputs change.

    Args:
        error: mean squared difference between the claimed fall of the score and its fall, [B].
        scaled: the same after the best factor of each sample, for explanations without a unit, [B].
        change: mean squared fall of the score, [B].
    """

    error: Tensor
    scaled: Tensor
    change: Tensor

    @property
    def unexplained(self) -> Tensor:
        """Part of the change that no multiple of the explanation tells, from 0 to 1, [B]; NaN without a change."""
        return self.scaled / self.change


def noise(scale: float = 0.1) -> Perturb:
    """Return a perturbation that takes Gaussian noise away, for explanations that are shaped as the inputs.

    Args:
        scale: standard deviation, in standardised units.

    Raises:
        ValueError: it is not above 0.
    """
    _require_positive("scale", scale)

    def perturb(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        change = scale * torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x)
        return change, x - change

    return perturb


def removal(space: Sequence[int], part: float = 0.25, baseline: Tensor | None = None) -> Perturb:
    """Return a perturbation that blots places out at random, for explanations that give each place its share.

    Args:
        space: places along each axis, those of the explanation.
        part: of the places that go, at least one.
        baseline: what stands for a place that is gone, [1, channels, ...]; zeros unless given.

    Raises:
        ValueError: the part is not between 0 and 1; later, the inputs have other axes than the places.
    """
    if not 0 < part <= 1:
        raise ValueError(f"part: {part}; allowed: above 0, at most 1")

    def perturb(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        require_places(x.shape, space)
        owner = place_of(x.shape[2:], space).flatten()
        places = int(owner.max()) + 1
        order = torch.rand(len(x), places, generator=generator).argsort(dim=1)
        gone = (order < max(1, round(part * places))).to(x.device)
        hidden = gone[:, owner.to(x.device)].view(len(x), 1, *x.shape[2:])
        blank = torch.zeros_like(x) if baseline is None else baseline.expand_as(x)
        return gone.view(len(x), *space).to(x), torch.where(hidden, blank, x)

    return perturb


def infidelity(
    logits: Logits,
    x: Tensor,
    explanation: Tensor,
    classes: Tensor,
    perturb: Perturb,
    *,
    count: int = 32,
    rows: int = 256,
    seed: int = 0,
) -> Infidelity:
    """Compare what an explanation says a change of the input costs with what it costs.

    Args:
        logits: from standardised inputs [B, channels, ...] to [B, N].
        x: the inputs.
        explanation: of the logit of the class: shaped as ``x`` for :func:`noise`, [B, *space] for :func:`removal`.
        classes: class of each sample, [B].
        perturb: what is done to the inputs.
        count: perturbations of each sample.
        rows: inputs that are in the network at a time; at least those of one perturbation.
        seed: of the perturbations, whatever the rows.

    Raises:
        ValueError: the explanation has another shape than what is taken away; no perturbation.

    Source:
        Yeh et al. 2019, On the (In)fidelity and Sensitivity of Explanations, arXiv:1901.09392;
        ``scaled`` is captum's ``infidelity(normalize=True)``.
    """
    return infidelities(
        logits, x, {"explanation": explanation}, classes, perturb, count=count, rows=rows, seed=seed
    )["explanation"]


def infidelities(
    logits: Logits,
    x: Tensor,
    explanations: Mapping[str, Tensor],
    classes: Tensor,
    perturb: Perturb,
    *,
    count: int = 32,
    rows: int = 256,
    seed: int = 0,
) -> dict[str, Infidelity]:
    """Return the infidelity of several explanations, for which the network is asked once.

    Arguments and source are those of :func:`infidelity`, with explanations by name.
    """
    generator = torch.Generator().manual_seed(seed)
    claims: dict[str, list[Tensor]] = {name: [] for name in explanations}
    falls = []
    with torch.no_grad():
        before = of_class(logits(x), classes)
        for many in _chunks(count, rows, len(x)):
            taken, changed = zip(*(perturb(x, generator) for _ in range(many)), strict=True)
            after = of_class(logits(torch.cat(changed)), classes.repeat(many))
            falls.append((before - after.view(many, len(x))).double())
            for name, explanation in explanations.items():
                _require_shape(explanation, taken[0])
                claims[name] += [_claimed(explanation, one) for one in taken]
    lost = torch.cat(falls)
    return {name: _compared(torch.stack(own), lost) for name, own in claims.items()}


def _claimed(explanation: Tensor, taken: Tensor) -> Tensor:
    return (explanation * taken).flatten(1).double().sum(dim=1)


def _compared(claimed: Tensor, lost: Tensor) -> Infidelity:
    """Compare claims with falls, [count, B] each."""
    size = claimed.square().sum(dim=0)
    factor = torch.where(size > 0, (claimed * lost).sum(dim=0) / size, 0.0)
    error, scaled = ((way * claimed - lost).square().mean(dim=0) for way in (1.0, factor))
    return Infidelity(error, scaled, lost.square().mean(dim=0))


def max_sensitivity(
    explain: Explain,
    x: Tensor,
    classes: Tensor,
    *,
    radius: float = 0.1,
    count: int = 10,
    rows: int = 256,
    seed: int = 0,
) -> Tensor:
    """Return how far an explanation moves at most when its input moves a little, relative to its size, [B].

    Args:
        explain: the method, such as ``lambda x, classes: grad_cam(network, x, classes)[0]``.
        x: standardised inputs, [B, channels, ...].
        classes: whose explanation, [B]; the same for an input and those near it.
        radius: each number of the input moves by at most this, evenly drawn, in standardised units.
        count: inputs near each sample that are tried; the true maximum is at least as large.
        rows: inputs that are explained at a time; at least ``B``.
        seed: of what is drawn, whatever the rows.

    Returns:
        Euclidean norms; 0 where nothing moves, NaN where the explanation of the sample itself is zero everywhere.

    Raises:
        ValueError: no radius, no perturbation.

    Source:
        Yeh et al. 2019, arXiv:1901.09392, divided by the norm as in captum's ``sensitivity_max``.
    """
    _require_positive("radius", radius)
    generator = torch.Generator().manual_seed(seed)
    here = explain(x, classes).detach().flatten(1)
    largest = torch.zeros_like(here[:, 0])
    for many in _chunks(count, rows, len(x)):
        near = torch.cat([x + _even(x, radius, generator) for _ in range(many)])
        there = explain(near, classes.repeat(many)).detach().reshape(many, *here.shape)
        moved = torch.linalg.vector_norm(there - here, dim=2).amax(dim=0)
        largest = torch.maximum(largest, moved)
    size = torch.linalg.vector_norm(here, dim=1)
    return torch.where(size > 0, largest / size, torch.nan)


def _even(x: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(x.shape, generator=generator, dtype=x.dtype).to(x)
    return radius * (2 * drawn - 1)


def _chunks(count: int, rows: int, samples: int) -> Iterator[int]:
    """Return how many perturbations of all samples are done at a time."""
    if count < 1:
        raise ValueError(f"count: {count}; allowed: 1 or more")
    each = max(1, rows // max(1, samples))
    return (min(each, count - done) for done in range(0, count, each))


def _require_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name}: {value}; allowed: above 0")


def _require_shape(explanation: Tensor, taken: Tensor) -> None:
    if explanation.shape != taken.shape:
        raise ValueError(
            f"explanation: {list(explanation.shape)}; allowed: {list(taken.shape)}, as what is taken away"
        )

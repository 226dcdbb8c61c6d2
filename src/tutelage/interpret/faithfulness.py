"""All measures of one network on some samples, in numbers that a record can keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from tutelage.interpret.ablation import ablate, additivity
from tutelage.interpret.agreement import concept_accuracies, concept_chances
from tutelage.interpret.attributions import integrated_gradients, occlusion
from tutelage.interpret.curves import ORDERS, Curve, concept_curves, deletion, insertion
from tutelage.interpret.maps import sparseness
from tutelage.interpret.network import asking, predicted
from tutelage.interpret.perturbed import infidelities, max_sensitivity, removal
from tutelage.interpret.places import attention_map, attribution_map, contribution_map, stream_of
from tutelage.interpret.stability import stability
from tutelage.models import Network
from tutelage.modes import evaluating
from tutelage.types import Explanation

Ranking = Literal["contribution", "attention", "random", "integrated_gradients", "occlusion"]
OWN: tuple[Ranking, ...] = ("contribution", "attention", "random")
"""Rankings that need nothing but the network; the others need captum."""
INSTANT: tuple[Ranking, ...] = ("contribution", "attention")
"""Rankings that one pass of the network gives."""
RANDOM_ORDERS = 5
"""The control is the mean of so many: one order alone may be lucky."""


@dataclass(frozen=True)
class _Maps:
    """What rankings give to each place.

    Args:
        network: explains itself; in evaluation mode.
        generator: of random maps.
        baseline: what stands for a place that is gone, or None for zeros.
    """

    network: Network
    generator: torch.Generator
    baseline: Tensor | None = None

    def logits(self, x: Tensor) -> Tensor:
        """Return the scores, with gradient."""
        return self.network(x).logits

    def told(self, x: Tensor, classes: Tensor) -> Explanation:
        """Return what the network says of one class of each sample."""
        with asking(self.network):
            return self.network.explain(x, classes[:, None])

    def of(self, kind: Ranking, x: Tensor, classes: Tensor, told: Explanation) -> Tensor:
        """Return the map of one ranking, [B, *space]; ``told`` is of these inputs and classes."""
        space = stream_of(told).space
        if kind == "contribution":
            return contribution_map(told, torch.zeros_like(classes))  # of one class only
        if kind == "attention":
            return attention_map(told)
        if kind == "random":
            return torch.rand(len(x), *space, generator=self.generator).to(x)
        if kind == "occlusion":
            return occlusion(self.logits, x, classes, space, baseline=self.baseline)
        return attribution_map(
            integrated_gradients(self.logits, x, classes, baseline=self.baseline), space
        )


def compare(
    network: Network,
    x: Tensor,
    classes: Tensor | None = None,
    *,
    rankings: Sequence[Ranking] = OWN,
    baseline: Tensor | None = None,
    steps: int = 16,
    seed: int = 0,
) -> dict[str, tuple[Curve, Curve]]:
    """Return deletion and insertion curves of several rankings of the same places.

    Args:
        network: explains itself, with a stream that has places.
        x: standardised inputs, [B, channels, ...].
        classes: whose probability is followed, [B]; the predicted ones unless given.
        rankings: how the places are ranked: by their contribution to the class, by their largest attention, at
            random (the control), or by one of two attributions that need no concepts (captum).
        baseline: what stands for a place that is gone; zeros unless given.
        steps: of the curves.
        seed: of the random rankings; their curves are averaged.

    Returns:
        ranking -> deletion and insertion.

    Raises:
        ValueError: no stream has more than one place.
    """
    classes = predicted(network, x) if classes is None else classes
    maps = _Maps(network, torch.Generator().manual_seed(seed), baseline)
    return _curves(maps, x, classes, _orders(maps, x, classes, rankings), steps)


def _orders(
    maps: _Maps, x: Tensor, classes: Tensor, rankings: Sequence[Ranking]
) -> dict[str, list[Tensor]]:
    """Return the maps of each ranking: one, or several where they are drawn at random."""
    told = maps.told(x, classes)
    stream_of(told)  # says so where no stream has places
    with evaluating(maps.network):  # with gradients, which an attribution needs
        return {
            str(kind): [
                maps.of(kind, x, classes, told)
                for _ in range(RANDOM_ORDERS if kind == "random" else 1)
            ]
            for kind in rankings
        }


def _curves(
    maps: _Maps, x: Tensor, classes: Tensor, orders: Mapping[str, Sequence[Tensor]], steps: int
) -> dict[str, tuple[Curve, Curve]]:
    """Return deletion and insertion along each ranking, the mean of its orders."""
    with evaluating(maps.network):
        return {
            kind: _averaged(
                [(deletion(maps.logits, x, ranks, classes, baseline=maps.baseline, steps=steps),
                  insertion(maps.logits, x, ranks, classes, baseline=maps.baseline, steps=steps))
                 for ranks in several]
            )
            for kind, several in orders.items()
        }  # fmt: skip


def faithfulness(
    network: Network,
    x: Tensor,
    concepts: Mapping[str, Tensor] | None = None,
    *,
    rankings: Sequence[Ranking] = OWN,
    steps: int = 16,
    batch_size: int = 64,
    seed: int = 0,
) -> dict[str, Any]:
    """Return every measure of this package on some samples, for the predicted classes.

    Args:
        network: explains itself.
        x: standardised inputs, [n, channels, ...].
        concepts: annotations by stream, where there are any, [n, ...] each.
        rankings: of the deletion and insertion curves over places.
        steps: of these curves.
        batch_size: samples that are explained at a time.
        seed: of what is random.

    Returns:
        Plain numbers, ready for JSON. ``samples``; ``additivity_error``: largest; ``ablation_error``: largest
        difference between what a concept claims and what is lost without it; ``turned``: part of the samples
        whose prediction is another one without their strongest concept; ``deletion`` and ``insertion``: mean
        area by ranking of places, none where no stream has places; ``unexplained``: by ranking, the part of the
        change of the score that no multiple of the map tells when a quarter of the places goes (infidelity);
        ``sparseness``: of each map; ``max_sensitivity``: of the maps of the network itself, when inputs move by
        up to 0.1; ``concept_deletion`` and
        ``concept_insertion``: the same for concepts; ``stability``: largest spread of logits and of attention
        over repeated passes, and how often the strongest concept is the same; ``concept_accuracy`` and
        ``concept_chance``: mean over the annotated samples, by stream, of the network and of attention at
        random; ``gain`` and ``gain_error``: by how much the order of contributions beats the mean of random
        orders, by measure, and its standard error over samples (NaN of a single one).
    """
    parts = [
        _measured(
            network,
            x[start : start + batch_size],
            {k: v[start : start + batch_size] for k, v in (concepts or {}).items()},
            rankings,
            steps,
            seed,
        )
        for start in range(0, len(x), batch_size)
    ]
    joined = {key: torch.cat([part[key].double().cpu() for part in parts]) for key in parts[0]}
    worst = ("additivity_error", "ablation_error", "stability.logits", "stability.attention")
    found: dict[str, Any] = {"samples": len(x)}
    for key, values in joined.items():
        number = float(values.amax() if key in worst else values.nanmean())
        group, _, name = key.partition(".")
        if name:
            found.setdefault(group, {})[name] = number
        else:
            found[group] = number
        if group == "gain":
            error = float(values.std() / len(values) ** 0.5)
            found.setdefault("gain_error", {})[name] = error
    return found


def _measured(
    network: Network,
    x: Tensor,
    concepts: Mapping[str, Tensor],
    rankings: Sequence[Ranking],
    steps: int,
    seed: int,
) -> dict[str, Tensor]:
    """Return one number per sample for each measure, [B]; groups of measures have a dot in their name."""
    classes = predicted(network, x)
    with asking(network):
        explanation = network.explain(x)
    removed = ablate(network, x, classes).values()
    claimed = torch.cat([one.claimed for one in removed], dim=1)
    turned = torch.cat([one.turned for one in removed], dim=1)
    found = {
        "additivity_error": additivity(network, x),
        "ablation_error": torch.stack([one.error for one in removed]).amax(dim=0),
        "turned": turned.gather(1, claimed.argmax(dim=1, keepdim=True))[:, 0],
    }
    if any(stream.attention.shape[1] > 1 for stream in explanation.streams.values()):
        maps = _Maps(network, torch.Generator().manual_seed(seed))
        orders = _orders(maps, x, classes, rankings)
        for name, (falling, rising) in _curves(maps, x, classes, orders, steps).items():
            found |= {f"deletion.{name}": falling.area, f"insertion.{name}": rising.area}
        found |= _of_maps(
            maps, x, classes, {kind: several[0] for kind, several in orders.items()}, seed
        )
    for order in ORDERS:
        generator = torch.Generator().manual_seed(seed)
        falling, rising = _averaged(
            [concept_curves(explanation, classes, order, generator=generator)
             for _ in range(RANDOM_ORDERS if order == "random" else 1)]
        )  # fmt: skip
        found[f"concept_deletion.{order}"] = falling.area
        found[f"concept_insertion.{order}"] = rising.area
    still = stability(network, x, seed=seed)
    found |= {f"stability.{n}": getattr(still, n) for n in ("logits", "attention", "top")}
    for measure, asked in (("accuracy", concept_accuracies), ("chance", concept_chances)):
        agreed = asked(explanation, concepts)
        found |= {f"concept_{measure}.{name}": values for name, values in agreed.items()}
    return found | _gains(found)


def _of_maps(
    maps: _Maps, x: Tensor, classes: Tensor, drawn: Mapping[str, Tensor], seed: int
) -> dict[str, Tensor]:
    """Return infidelity and sparseness of the map of each ranking, and the sensitivity of the network's own."""
    if not drawn:
        return {}

    def explained(kind: Ranking, inputs: Tensor, own: Tensor) -> Tensor:
        return maps.of(kind, inputs, own, maps.told(inputs, own))

    space = next(iter(drawn.values())).shape[1:]
    with evaluating(maps.network):
        perturb = removal(space)
        compared = infidelities(maps.logits, x, drawn, classes, perturb, rows=len(x), seed=seed)
    found = {f"unexplained.{kind}": one.unexplained for kind, one in compared.items()}
    found |= {f"sparseness.{kind}": sparseness(one) for kind, one in drawn.items()}
    for kind in INSTANT:
        if kind in drawn:
            found[f"max_sensitivity.{kind}"] = max_sensitivity(
                partial(explained, kind), x, classes, rows=len(x), seed=seed
            )
    return found


def _gains(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return by how much the order of contributions beats those at random, of each sample, by measure."""
    sign = {"deletion": 1, "concept_deletion": 1, "insertion": -1, "concept_insertion": -1}
    return {
        f"gain.{measure}": way * (found[f"{measure}.random"] - found[f"{measure}.contribution"])
        for measure, way in sign.items()
        if {f"{measure}.random", f"{measure}.contribution"} <= found.keys()
    }


def _averaged(pairs: Sequence[tuple[Curve, Curve]]) -> tuple[Curve, Curve]:
    """Return the mean of several deletion curves, and of as many insertion curves."""

    def mean(curves: Sequence[Curve]) -> Curve:
        return Curve(curves[0].fractions, torch.stack([one.values for one in curves]).mean(dim=0))

    return mean([falling for falling, _ in pairs]), mean([rising for _, rising in pairs])

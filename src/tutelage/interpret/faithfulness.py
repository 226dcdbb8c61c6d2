"""All measures of one network on some samples, in numbers that a record can keep."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from tutelage.interpret.ablation import ablate, additivity
from tutelage.interpret.agreement import concept_accuracies
from tutelage.interpret.attributions import integrated_gradients, occlusion
from tutelage.interpret.curves import (
    ORDERS,
    Curve,
    concept_curves,
    deletion,
    insertion,
)
from tutelage.interpret.network import SelfExplaining, evaluating, predicted
from tutelage.interpret.places import (
    attention_map,
    attribution_map,
    contribution_map,
    stream_of,
)
from tutelage.interpret.stability import stability

Ranking = Literal["contribution", "attention", "random", "integrated_gradients", "occlusion"]
OWN: tuple[Ranking, ...] = ("contribution", "attention", "random")
"""Rankings that need nothing but the network; the others need captum."""


def compare(
    network: SelfExplaining,
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
        seed: of the random ranking.

    Returns:
        ranking -> deletion and insertion.

    Raises:
        ValueError: no stream has more than one place.
    """
    classes = predicted(network, x) if classes is None else classes
    with evaluating(network):
        explanation = network.explain(x, classes[:, None])
    space = stream_of(explanation).space

    def logits(inputs: Tensor) -> Tensor:
        return network(inputs).logits

    def ranking(kind: Ranking) -> Tensor:
        if kind == "contribution":
            return contribution_map(explanation, torch.zeros_like(classes))  # of one class only
        if kind == "attention":
            return attention_map(explanation)
        if kind == "random":
            generator = torch.Generator().manual_seed(seed)
            return torch.rand(len(x), *space, generator=generator).to(x)
        if kind == "occlusion":
            return occlusion(logits, x, classes, space, baseline=baseline)
        found = integrated_gradients(logits, x, classes, baseline=baseline)
        return attribution_map(found, space)

    training = network.training
    network.train(False)
    try:
        found = {}
        for kind in rankings:
            ranks = ranking(kind)
            found[kind] = (
                deletion(logits, x, ranks, classes, baseline=baseline, steps=steps),
                insertion(logits, x, ranks, classes, baseline=baseline, steps=steps),
            )
    finally:
        network.train(training)
    return {str(kind): pair for kind, pair in found.items()}


def faithfulness(
    network: SelfExplaining,
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
        area by ranking of places, none where no stream has places; ``concept_deletion`` and
        ``concept_insertion``: the same for concepts; ``stability``: largest spread of logits and of attention
        over repeated passes, and how often the strongest concept is the same; ``concept_accuracy``: mean over
        the annotated samples, by stream.
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
    return found


def _measured(
    network: SelfExplaining,
    x: Tensor,
    concepts: Mapping[str, Tensor],
    rankings: Sequence[Ranking],
    steps: int,
    seed: int,
) -> dict[str, Tensor]:
    """Return one number per sample for each measure, [B]; groups of measures have a dot in their name."""
    classes = predicted(network, x)
    with evaluating(network):
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
        curves = compare(network, x, classes, rankings=rankings, steps=steps, seed=seed)
        for name, (falling, rising) in curves.items():
            found |= {f"deletion.{name}": falling.area, f"insertion.{name}": rising.area}
    for order in ORDERS:
        generator = torch.Generator().manual_seed(seed)
        falling, rising = concept_curves(explanation, classes, order, generator=generator)
        found[f"concept_deletion.{order}"] = falling.area
        found[f"concept_insertion.{order}"] = rising.area
    still = stability(network, x, seed=seed)
    found |= {f"stability.{n}": getattr(still, n) for n in ("logits", "attention", "top")}
    agreed = concept_accuracies(explanation, concepts)
    return found | {f"concept_accuracy.{name}": values for name, values in agreed.items()}

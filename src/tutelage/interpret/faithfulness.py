"""All measures of one network on some samples, in numbers that a record can keep."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from tutelage.interpret.ablation import ablate, additivity
from tutelage.interpret.agreement import concept_accuracies, concept_chances
from tutelage.interpret.attributions import integrated_gradients, occlusion
from tutelage.interpret.curves import ORDERS, Curve, concept_curves, deletion, insertion
from tutelage.interpret.network import asking, predicted
from tutelage.interpret.places import attention_map, attribution_map, contribution_map, stream_of
from tutelage.interpret.stability import stability
from tutelage.models import Network
from tutelage.modes import evaluating

Ranking = Literal["contribution", "attention", "random", "integrated_gradients", "occlusion"]
OWN: tuple[Ranking, ...] = ("contribution", "attention", "random")
"""Rankings that need nothing but the network; the others need captum."""
RANDOM_ORDERS = 5
"""The control is the mean of so many: one order alone may be lucky."""


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
    with asking(network):
        explanation = network.explain(x, classes[:, None])
    space = stream_of(explanation).space

    generator = torch.Generator().manual_seed(seed)

    def logits(inputs: Tensor) -> Tensor:
        return network(inputs).logits

    def ranking(kind: Ranking) -> Tensor:
        if kind == "contribution":
            return contribution_map(explanation, torch.zeros_like(classes))  # of one class only
        if kind == "attention":
            return attention_map(explanation)
        if kind == "random":
            return torch.rand(len(x), *space, generator=generator).to(x)
        if kind == "occlusion":
            return occlusion(logits, x, classes, space, baseline=baseline)
        return attribution_map(integrated_gradients(logits, x, classes, baseline=baseline), space)

    with evaluating(network):  # with gradients, which an attribution needs
        curves = {}
        for kind in rankings:
            orders = [ranking(kind) for _ in range(RANDOM_ORDERS if kind == "random" else 1)]
            curves[str(kind)] = _averaged(
                [(deletion(logits, x, ranks, classes, baseline=baseline, steps=steps),
                  insertion(logits, x, ranks, classes, baseline=baseline, steps=steps))
                 for ranks in orders]
            )  # fmt: skip
        return curves


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
        area by ranking of places, none where no stream has places; ``concept_deletion`` and
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
        curves = compare(network, x, classes, rankings=rankings, steps=steps, seed=seed)
        for name, (falling, rising) in curves.items():
            found |= {f"deletion.{name}": falling.area, f"insertion.{name}": rising.area}
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

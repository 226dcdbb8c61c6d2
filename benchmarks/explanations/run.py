"""Are the explanations of concept transformers true? Accuracy, agreement with annotations, faithfulness.

python -m benchmarks.explanations.run [--seeds 3] [--epochs 10] [--keep FILE]

Bi-level slots (CCT) beside a table of learned concepts (the Concept Transformer), on digits (concepts of the
whole image) and on generated scenes and events (concepts of places). Trained with cross entropy and the
explanation loss. Rankings of places are compared with captum's integrated gradients and occlusion. What is done
is written to FILE, one run a line, and not done again.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.common import write
from tutelage.data import DataSet, Digits, SyntheticEvents, SyntheticScenes
from tutelage.interpret import (
    concept_accuracies,
    contribution_map,
    faithfulness,
    mass_inside,
    randomisation,
)
from tutelage.losses.concepts import concept_distance, on_grid
from tutelage.models import ConceptTransformer, WideResNet

RATE, SIZE, SHOWN = 2e-3, 64, 24
RANKINGS = ("contribution", "attention", "random", "integrated_gradients", "occlusion")
SETS = {
    "digits": (lambda: Digits(size=16).load(), "global"),
    "scenes": (lambda: SyntheticScenes().load(), "spatial"),
    "events": (lambda: SyntheticEvents().load(), "spatial"),
}
SOURCES = ("bilevel", "table")
COLUMNS = {
    "accuracy": "accuracy",
    "concept accuracy": "concept_accuracy",
    "after the query is shuffled": "shuffled",
    "additivity error": "additivity_error",
    "ablation error": "ablation_error",
    "turned without the top concept": "turned",
    "evidence at annotated places (their share)": "mass",
    **{f"deletion: {name.replace('_', ' ')}": f"deletion.{name}" for name in RANKINGS},
    **{f"insertion: {name.replace('_', ' ')}": f"insertion.{name}" for name in RANKINGS},
}


def tensors(data: DataSet, scope: str, seed: int) -> dict[str, Tensor]:
    """Standardised inputs, labels and annotations, training samples first."""
    if data.official_test is None:
        test = np.random.default_rng(seed).permutation(len(data)) < len(data) // 5
    else:
        test = data.official_test
    x = torch.from_numpy(np.asarray(data.inputs)).float()
    axes = (0, *range(2, x.ndim))
    mean, std = (f(x[torch.from_numpy(~test)], axes) for f in (torch.mean, torch.std))
    shape = (1, -1, *[1] * (x.ndim - 2))
    x = (x - mean.view(shape)) / std.view(shape)
    parts = {
        "x": x,
        "y": torch.from_numpy(data.labels),
        "c": torch.from_numpy(data.concepts[scope]),
    }
    sides = {"train": torch.from_numpy(~test), "test": torch.from_numpy(test)}
    return {f"{side}.{k}": v[rows] for side, rows in sides.items() for k, v in parts.items()}


def trained(
    data: DataSet, parts: Mapping[str, Tensor], scope: str, source: str, epochs: int, seed: int
):
    x, y, c = (parts[f"train.{key}"] for key in "xyc")
    torch.manual_seed(seed)
    dimensions = x.ndim - 2
    network = ConceptTransformer(
        x.shape[1:],
        len(data.class_names),
        data.concept_names,
        network=WideResNet(x.shape[1], 2, depth=10, dimensions=dimensions),
        source=source,
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    steps = epochs * (len(x) // SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x))[: len(x) // SIZE * SIZE].split(SIZE):
            out = network(x[rows])
            attention = out.features[f"{scope}_attention"]
            wanted = c[rows] if scope == "global" else on_grid(c[rows], attention.shape[1:-1])
            loss = (
                F.cross_entropy(out.logits, y[rows])
                + concept_distance(attention, wanted).mean() * 2
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def measured(
    network: ConceptTransformer, parts: Mapping[str, Tensor], scope: str
) -> dict[str, Any]:
    x, y, c = (parts[f"test.{key}"] for key in "xyc")

    def agreement(one: ConceptTransformer) -> float:
        with torch.no_grad():
            found = [
                concept_accuracies(one.explain(a, torch.zeros(1).long()), {scope: b})[scope]
                for a, b in zip(x.split(SIZE), c.split(SIZE), strict=True)
            ]
        return float(torch.cat(found).nanmean())

    with torch.no_grad():
        right = torch.cat([network(part).logits for part in x.split(SIZE)]).argmax(dim=1) == y
    shuffled = randomisation(network, agreement, [f"streams.{scope}.query"], repeats=5)
    some = torch.linspace(0, len(x) - 1, SHOWN).long()
    found = faithfulness(network, x[some], rankings=RANKINGS, steps=8)
    flat = {
        f"{k}.{n}": v for k, row in found.items() if isinstance(row, dict) for n, v in row.items()
    }
    flat |= {k: v for k, v in found.items() if not isinstance(v, dict)}
    flat |= {"accuracy": float(right.float().mean()), "concept_accuracy": shuffled.before}
    flat |= {"shuffled": statistics.mean(shuffled.after)}
    if scope == "spatial":
        with torch.no_grad():
            explanation = network.explain(x[some])
        classes = explanation.logits.argmax(dim=1)
        space = explanation.streams[scope].space
        there = on_grid(c[some], space)[..., 0].isnan().logical_not()
        flat["mass"] = float(mass_inside(contribution_map(explanation, classes), there).nanmean())
        flat["share"] = float(there.float().mean())
    return flat


def told(rows: Sequence[Mapping[str, float]], key: str) -> str:
    """Mean and standard deviation over seeds."""
    values = [row[key] for row in rows if key in row]
    if not values:
        return ""
    if key.endswith("_error"):
        return f"{max(values):.0e}"
    text = (
        f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"
        if values[1:]
        else f"{values[0]:.3f}"
    )
    return text + (f" ({rows[0]['share']:.3f})" if key == "mass" else "")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    kept = arguments.keep
    lines = kept.read_text().splitlines() if kept and kept.exists() else []
    done = {(name, source, seed): found for name, source, seed, found in map(json.loads, lines)}
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, (load, scope) in SETS.items():
        data = load()
        for source in SOURCES:
            for seed in range(arguments.seeds):
                found = done.get((name, source, seed))
                if found is None:
                    parts = tensors(data, scope, seed)
                    network = trained(data, parts, scope, source, arguments.epochs, seed)
                    found = measured(network, parts, scope)
                    if kept:
                        with kept.open("a") as file:
                            file.write(json.dumps([name, source, seed, found]) + "\n")
                rows.setdefault(f"{name}, {source}", []).append(found)
                print(name, source, seed, {k: round(v, 3) for k, v in found.items()}, flush=True)
    body = [[head, *(told(runs, key) for runs in rows.values())] for head, key in COLUMNS.items()]
    note = (
        f"{arguments.seeds} seeds, {arguments.epochs} epochs, WRN-10-1, mean ± standard deviation; "
        f"faithfulness on {SHOWN} test samples. Errors: the largest. Scenes and events are generated."
    )
    command = f"python -m benchmarks.explanations.run --seeds {arguments.seeds} --epochs {arguments.epochs}"
    write(Path(__file__).parent, command, {"note": note, "rows": rows}, [["", *rows], *body])


if __name__ == "__main__":
    main()

"""LaBo over shots against its controls and the linear probe, on the stand-ins.

python -m benchmarks.labo.stand_in cifar10 && python -m benchmarks.labo.stand_in hapt
python -m benchmarks.labo.run
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.common import machine
from tutelage.data import home
from tutelage.execution.run import execute
from tutelage.execution.workers import RunConfig
from tutelage.models import ConceptBottleneck
from tutelage.models.concept_edits import remove_concept
from tutelage.recipe.config import Recipe, merge, parse
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network
from tutelage.vlm.probe import linear_probe

HERE = Path(__file__).parent
SHOTS = (1, 2, 4, 8, 16, None)
ROWS = {
    "labo": "LaBo, language prior, softmax over concepts",
    "untrained": "the same before training",
    "over-classes": "softmax over classes",
    "random-concepts": "concepts drawn at random",
    "random-start": "weights drawn at random",
    "probe": "linear layer, same optimizer",
    "regression": "linear probe as published (penalty searched)",
}


def recipe_of(name: str, folder: Path, shots: int | None, draw: int, epochs: int | None) -> Recipe:
    """Return the shipped recipe for this many shots and this draw of them."""
    content = yaml.safe_load(Path("recipes", name, "labo.yaml").read_text())
    classes = {"cifar10": 10, "hapt": 6}[name]
    train: dict[str, Any] = {"batch_size": classes * (shots or 1)}
    train |= {"epochs": epochs} if epochs else {}
    if shots is None:
        train |= {"batch_size": 500, "epochs": min(30, epochs or 30)}
    where = "model" if name == "cifar10" else "folder"
    modality = next(iter(content["modalities"]))
    encoder = {"encoder": {where: str(folder / name)}}
    top = {
        "split": {"shots": shots, "seed": draw},
        "seeds": [draw],
        "train": train,
        "modalities": {modality: encoder},
    }
    return parse(Recipe, merge(content, top), "")


def one(name: str, options: argparse.Namespace, shots: int | None, draw: int) -> dict[str, float]:
    """Return the test accuracy of every row for one draw of training samples."""
    recipe = recipe_of(name, options.stand_ins, shots, draw, options.epochs)
    places = RunConfig(options.runs, None, "cpu", options.jobs)
    folder = execute(recipe, f"labo-{name}-{shots or 'all'}-{draw}", places)
    found = {}
    for run in json.loads((folder / "experiment.json").read_text())["runs"]:
        evaluation = json.loads((folder / run["path"] / "evaluation.json").read_text())["test"]
        found[run["stage"]] = evaluation["accuracy"]
        if run["stage"] == "labo":
            found["untrained"] = evaluation["variants"]["untrained"]["accuracy"]
    found["regression"] = _regression(recipe, options.runs)
    print(
        name, shots, draw, {key: round(100 * value, 1) for key, value in found.items()}, flush=True
    )
    return found


def _regression(recipe: Recipe, runs: Path) -> float:
    dataset = load_data(recipe.data, home(), None)
    fold = Fold.of(DataSpec.of(recipe), dataset, 0, runs / ".cache" / "modalities")
    vectors = torch.from_numpy(np.array(fold.values(next(iter(recipe.modalities)))))
    labels = torch.from_numpy(dataset.labels)
    sides = {key: torch.from_numpy(ids) for key, ids in fold.split.sides().items()}
    probe = linear_probe(
        vectors[sides["train"]], labels[sides["train"]],
        vectors[sides["validation"]], labels[sides["validation"]],
    )  # fmt: skip
    return float((probe.predict(vectors[sides["test"]]) == labels[sides["test"]].numpy()).mean())


def edited(name: str, options: argparse.Namespace) -> list[str]:
    """Return, for one wrong answer of one run (16 shots, draw 1), why, and what an edit changes."""
    recipe = recipe_of(name, options.stand_ins, 16, 1, options.epochs)
    folder = options.runs / f"labo-{name}-16-1"
    listed = json.loads((folder / "experiment.json").read_text())["runs"]
    path = folder / next(run["path"] for run in listed if run["stage"] == "labo")
    network = load_network(path / "best.safetensors")[0].network
    assert isinstance(network, ConceptBottleneck)
    said = np.load(path / "predictions-test.npz")
    place = int(np.flatnonzero(said["logits"].argmax(axis=1) != said["labels"])[0])
    truth, answer = int(said["labels"][place]), int(said["logits"][place].argmax())
    dataset = load_data(recipe.data, home(), None)
    fold = Fold.of(DataSpec.of(recipe), dataset, 0, options.runs / ".cache" / "modalities")
    x = torch.from_numpy(np.array(fold.values(next(iter(recipe.modalities)))[said["index"][place]]))
    with torch.no_grad():
        before = network(x[None]).logits[0]
        parts = network.explain(x[None]).streams["text"].contributions[0, 0]
        most = (parts[:, answer] - parts[:, truth]).argsort(descending=True)[:3].tolist()
        other = network
        for number in most:
            other = remove_concept(other, network.names[number])
        after = other(x[None]).logits[0]
    classes = dataset.class_names
    moved = [f"{network.names[i]} ({parts[i, answer] - parts[i, truth]:+.2f})" for i in most]
    gap = [float(logits[answer] - logits[truth]) for logits in (before, after)]
    claimed = float((parts[most, answer] - parts[most, truth]).sum())
    return [
        f"One wrong answer (16 shots, draw 1): sample {said['index'][place]} is {classes[truth]}, predicted "
        f"{classes[answer]}. What spoke most for the latter: {'; '.join(moved)}. Without these three concepts the "
        f"lead of {gap[0]:+.2f} becomes {gap[1]:+.2f}, a change of {gap[1] - gap[0]:+.2f}; their contributions "
        f"claimed {-claimed:+.2f}. The answer is then {classes[int(after.argmax())]}.",
        "",
    ]


def table(name: str, found: Mapping[str, Any], stand_in: Mapping[str, Any]) -> list[str]:
    """Return the results of one data set in Markdown."""
    heads = [f"{shots} shots" if shots else "all" for shots in SHOTS if str(shots) in found]
    lines = [f"## {name}", "", _said(stand_in), "", "| | " + " | ".join(heads) + " |"]
    lines.append("|---|" + "---:|" * len(heads))
    for row, text in ROWS.items():
        cells = []
        for shots in SHOTS:
            if str(shots) in found:
                values = [100 * draw[row] for draw in found[str(shots)]]
                spread = statistics.stdev(values) if len(values) > 1 else 0.0
                cells.append(f"{statistics.mean(values):.1f} ± {spread:.1f}")
        lines.append(f"| {text} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _said(stand_in: Mapping[str, Any]) -> str:
    nearest = stand_in["held-out concepts nearest to an owner's centroid"]
    return (
        f"Stand-in: {stand_in['samples']:,} samples, {stand_in['arguments']['epochs']} epochs, "
        f"{stand_in['seconds'] / 60:.0f} minutes on one loaded core; zero-shot accuracy "
        f"{100 * stand_in['zero-shot accuracy']:.1f} %; of the concepts that no caption said, {100 * nearest:.0f} "
        "% are nearest to the mean sample of a class that owns them "
        f"(chance {100 * stand_in['chance of that']:.0f} %)."
    )


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stand-ins", type=Path, default=Path("stand-ins"))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--data", nargs="*", default=["cifar10", "hapt"])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    result: dict[str, Any] = {"command": "python -m benchmarks.labo.run", "machine": machine()}
    lines = ["`python -m benchmarks.labo.run`", "", __doc__.splitlines()[0], ""]
    lines.append(
        f"Test accuracy in %, mean ± standard deviation over {options.draws} draws of the training samples (the "
        "same for all rows; with them the seed changes). The epoch is chosen on the whole validation side. The "
        "stand-ins are small encoders trained here on other samples; no CLIP weights can be had here."
    )
    lines.append("")
    for name in options.data:
        stand_in = json.loads((options.stand_ins / name / "stand_in.log").read_text())
        found = {
            str(shots): [one(name, options, shots, draw) for draw in range(1, options.draws + 1)]
            for shots in SHOTS
        }
        result[name] = {"stand_in": stand_in, "accuracy": found}
        lines += table(name, found, stand_in) + edited(name, options)
    (HERE / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "results.md").write_text("\n".join(lines).rstrip() + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

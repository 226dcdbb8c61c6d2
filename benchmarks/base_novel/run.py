"""Base to novel on CIFAR-10 with stand-ins for CLIP: zero-shot, PromptSRC, PromptKD, ComKD-CLIP and its ablation.

python -m benchmarks.base_novel.stand_ins && python -m benchmarks.base_novel.run
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tutelage.report.panels.protocols.section import group_table

from benchmarks.common import machine
from tutelage.data import Cifar10
from tutelage.execution.run import execute
from tutelage.execution.workers import RunConfig
from tutelage.losses import sample_statistics, soft_targets
from tutelage.models import DistilledClip
from tutelage.recipe.config import load
from tutelage.recipe.networks import load_network
from tutelage.report import write_report
from tutelage.runs.ledger import Experiment, Run, read_experiment

HERE = Path(__file__).parent
RECIPE = Path("recipes/cifar10/comkd-clip.yaml")
SAID = (
    "Test accuracy in % of base classes (the first five) and novel ones, each among its own five; both encoders "
    "are small stand-ins trained here, no CLIP weights can be had. Stages of a seed share teacher, few shots and "
    "start, so differences are paired. No gain shows, neither of tuning nor of distilling, and IFAlign costs a "
    "little: the students stay below their encoder's own zero-shot. A likely reason is that the stand-ins were "
    "trained on images like these, so there is little to learn here; the published gains are of CLIP."
)
ACTED = (
    "What the modules did, on 2,000 test images without labels: L1 distance of means and of variances of the unit "
    "image features of student and teacher over their channels (IFAlign), the learned scale of EduAttention, and "
    "KL(teacher, student) over all ten classes. Means over seeds."
)
IMAGES = 2000


def test_images(recipe_data: dict[str, object]) -> Tensor:
    """Return some test images of the recipe's data, evenly spaced."""
    dataset = Cifar10(**{k: v for k, v in recipe_data.items() if k != "type"}).load()  # type: ignore[arg-type]
    assert dataset.official_test is not None
    ids = np.flatnonzero(dataset.official_test)
    return torch.from_numpy(np.array(dataset.inputs[ids[:: max(1, len(ids) // IMAGES)]]))


def acted(run: Run, experiment: Experiment, images: Tensor) -> dict[str, float]:
    """Return how near a student came to its teacher; nothing for a network without one."""
    (reference,) = run.record.teachers.values()
    teachers = [one for one in experiment.runs if one.fingerprint == reference.fingerprint]
    both = [load_network(one.folder / "best.safetensors")[0] for one in (run, teachers[0])]
    with torch.no_grad():
        student, teacher = (network.on_tensor(images) for network in both)
    own, wanted = (sample_statistics(output.features["image"]) for output in (student, teacher))
    network = both[0].network
    assert isinstance(network, DistilledClip)
    found = {
        "means apart": float((own[0] - wanted[0]).abs().sum()),
        "variances apart": float((own[1] - wanted[1]).abs().sum()),
        "KL": float(soft_targets(student.logits, teacher.logits, temperature=1.0).mean()),
    }
    if network.attention is not None:
        found["scale of attention"] = float(network.attention.scale.detach())
    return found


def acted_table(found: dict[str, list[dict[str, float]]]) -> list[str]:
    """Return a row per method."""
    names = ("means apart", "variances apart", "scale of attention", "KL")
    lines = ["| method | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for stage, runs in found.items():
        cells = [
            f"{statistics.fmean(run[name] for run in runs):.3f}" if name in runs[0] else ""
            for name in names
        ]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("overrides", nargs="*", help="changes to the recipe, key.path=value")
    options = parser.parse_args()
    recipe = load(RECIPE, options.overrides)
    folder = execute(recipe, "base-novel", RunConfig(options.runs, None, "auto", options.jobs))
    write_report(folder)
    experiment = read_experiment(folder)
    stages = [*experiment.students, *experiment.teachers]
    images = test_images(recipe.data)
    moved = {
        stage: [acted(run, experiment, images) for run in experiment.of(stage)]
        for stage in stages
        if recipe.stages[stage].teachers
    }
    result = {
        "command": "python -m benchmarks.base_novel.run",
        "machine": machine(),
        "stand_ins": {
            name: json.loads(Path("stand-ins", name, "stand_in.log").read_text())
            for name in ("cifar10", "cifar10-student")
        },
        "test": {
            stage: [
                {"seed": run.seed, "harmonic_mean": run.evaluations["test"].harmonic_mean}
                | {name: vars(one) for name, one in run.evaluations["test"].groups.items()}
                for run in experiment.of(stage)
            ]
            for stage in stages
        },
        "acted": moved,
    }
    lines = [f"`{result['command']}`", "", SAID, "", group_table(experiment).markdown()]
    lines += [ACTED, "", *acted_table(moved), ""]
    lines.append("Machine: " + ", ".join(f"{k} {v}" for k, v in machine().items()) + ".")
    (HERE / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "results.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

"""A small student alone and taught on damaged test windows of HAPT, and what the evaluation costs a larger one."""

import argparse
import json
import time
from pathlib import Path

import torch

from benchmarks.common import machine
from tutelage.batches import Samples
from tutelage.evaluate import assess, predict
from tutelage.execution.run import execute
from tutelage.execution.workers import RunConfig
from tutelage.models import On, WideResNet
from tutelage.recipe.config import Recipe, load
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.evaluation import corruptions_of, facts_of
from tutelage.recipe.fold import Fold, tensor_of
from tutelage.report.context import ReportContext
from tutelage.report.panels.robustness.section import section
from tutelage.runs.ledger import read_experiment
from tutelage.training.robustness import damaged_inputs

HERE = Path(__file__).parent
RECIPE = HERE.parents[1] / "recipes/hapt/robustness.yaml"
KINDS = (
    "evaluate.corruptions=[Noise, LostSamples, LostChannels, GainError, RotatedSensor, TimeWarp]"
)


def cost(cache: Path) -> dict[str, float]:
    """Return the seconds of one core that six kinds x five severities x one draw take for an untrained WRN16-1."""
    recipe: Recipe = load(RECIPE, [KINDS, "data.stride=64"])
    dataset = load_data(recipe.data)
    data = Fold.of(DataSpec.of(recipe), dataset, 0, cache)
    facts = facts_of(data)
    labels = torch.from_numpy(dataset.labels[data.split.test])
    network = On(
        "signal", WideResNet(6, 6, depth=16, width=1, dimensions=1), torch.zeros(6), torch.ones(6)
    )
    spent = {"damage": 0.0, "network": 0.0, "metrics": 0.0}
    for corruption in corruptions_of(recipe.evaluate).values():
        for severity in recipe.evaluate.severities:
            marks = [time.process_time()]
            [(at, values)] = damaged_inputs(corruption, severity, 0, data, facts)
            marks.append(time.process_time())
            samples = Samples({"signal": tensor_of(values)}, labels, dataset.class_names)
            logits = predict(network, samples, torch.from_numpy(at))
            marks.append(time.process_time())
            assess(logits, labels, dataset.class_names)
            marks.append(time.process_time())
            for name, begin, end in zip(spent, marks, marks[1:], strict=False):
                spent[name] += end - begin
    return spent | {"windows": len(labels)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("changes", nargs="*", help="of the recipe: folds=[0,1,2]")
    asked = parser.parse_args()
    folder = execute(
        load(RECIPE, asked.changes), "hapt-robustness", RunConfig(asked.runs, accelerator="cpu")
    )
    experiment = read_experiment(folder)
    made = section(ReportContext(experiment))
    assert made is not None, "the recipe asks for damage"
    torch.set_num_threads(1)
    spent = cost(asked.runs / ".cache")
    total = sum(spent.values()) - spent["windows"]
    runs = {
        f"{run.stage}, fold {run.fold}, seed {run.seed}": {
            "undamaged": run.evaluations["test"].accuracy,
            **{f"{kind} {step}": draws for (kind, step), draws in run.robustness.accuracy.items()},
        }
        for run in experiment.runs
        if run.robustness is not None
    }
    said = [
        "# Robustness on HAPT",
        f"`python -m benchmarks.robustness.run {' '.join(asked.changes)}`".replace(" `", "`"),
        f"The recipe is `recipes/hapt/robustness.yaml`. {made.intro} {' '.join(made.notes)}",
        *(table.markdown() for table in made.tables),
        "## Cost",
        f"Six kinds x five severities x one draw for one student of 62 k parameters (WRN16-1) on "
        f"{spent['windows']:.0f} test windows of HAPT: {total:.1f} seconds of one core "
        f"(damage {spent['damage']:.1f}, network {spent['network']:.1f}, metrics {spent['metrics']:.1f}). "
        "Three draws take three times as long; a second network of the fold repeats all but the damage.",
    ]
    kept = {"machine": machine(), "cost": spent, "runs": runs}
    (HERE / "results.json").write_text(json.dumps(kept, indent=1) + "\n")
    (HERE / "results.md").write_text("\n\n".join(part.strip() for part in said) + "\n")


if __name__ == "__main__":
    main()

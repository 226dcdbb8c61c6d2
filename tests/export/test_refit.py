"""A method trained once more on everybody, from the folder of runs that the first version left."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.execution.tiny import Told
from tutelage.cli.root import app
from tutelage.errors import UserError
from tutelage.execution.run import RunConfig
from tutelage.export.choosing import find_source
from tutelage.export.refit import refit, refit_recipe
from tutelage.export.source import evidence_of
from tutelage.recipe.config import load
from tutelage.report import write_report
from tutelage.runs.ledger import Experiment, read_experiment
from tutelage.runs.records import Selected

FIRST_HOUSE = Path(__file__).parents[1] / "fixtures" / "runs-of-the-first-house"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIRST_HOUSE, tmp_path / "runs"))


def with_best(experiment: Experiment, stage: str, epochs: list[int]) -> Experiment:
    """Return an experiment whose stage has a run for each of these best epochs, counted from 0."""
    first = experiment.of(stage)[0]
    others = tuple(run for run in experiment.runs if run.stage != stage)
    made = tuple(
        replace(
            first, seed=seed, record=replace(first.record, selected=Selected(epoch, "validation"))
        )
        for seed, epoch in enumerate(epochs)
    )
    return replace(experiment, runs=(*others, *made))


def with_train(experiment: Experiment, **train) -> Experiment:
    resolved = json.loads(json.dumps(experiment.record.resolved))
    resolved["train"] |= train
    return replace(experiment, record=replace(experiment.record, resolved=resolved))


@pytest.mark.parametrize(
    ("best", "wanted"), [([0], 1), ([0, 1, 9], 2), ([2, 3], 4), ([4, 4, 0, 0, 9], 5)]
)
def test_the_length_is_the_median_of_the_best_epochs(best: list[int], wanted: int) -> None:
    experiment = with_best(read_experiment(FIRST_HOUSE / "first"), "alone", best)
    recipe, lengths = refit_recipe(experiment, "alone")
    assert (lengths["alone"].epochs, lengths["alone"].runs) == (wanted, len(best))
    assert recipe.train_settings("alone").epochs == wanted
    assert recipe.train_settings("alone").select == "last"
    assert (
        recipe.train_settings("alone").learning_rate
        == experiment.record.resolved["train"]["learning_rate"]
    )


def test_each_teacher_has_its_own_length_and_only_what_is_needed_is_trained() -> None:
    experiment = with_best(read_experiment(FIRST_HOUSE / "first"), "pi", [5, 5])
    recipe, lengths = refit_recipe(with_best(experiment, "base", [1]), "base")
    assert list(recipe.stages) == ["sig", "pi", "gaf", "base"]
    assert (lengths["pi"].epochs, lengths["base"].epochs) == (6, 2)
    assert recipe.split == {"type": "Everybody", "of": experiment.record.resolved["split"]}
    assert (recipe.folds, recipe.seeds, recipe.baseline) == ([0], [0], "base")


def test_what_chose_no_single_epoch_keeps_its_own_length() -> None:
    experiment = with_best(read_experiment(FIRST_HOUSE / "first"), "alone", [0])
    for given in ({"select": "last", "epochs": 7}, {"average": {"type": "Uniform"}, "epochs": 7}):
        recipe, lengths = refit_recipe(with_train(experiment, **given), "alone")
        assert (lengths["alone"].epochs, lengths["alone"].chosen) == (7, False)
        assert recipe.train_settings("alone").average == given.get("average")


def test_a_thinned_split_stays_thin() -> None:
    experiment = read_experiment(FIRST_HOUSE / "first")
    resolved = json.loads(json.dumps(experiment.record.resolved))
    resolved["split"] = {"type": "FewShot", "shots": 4, "of": resolved["split"]}
    recipe, _ = refit_recipe(
        replace(experiment, record=replace(experiment.record, resolved=resolved)), "alone"
    )
    assert recipe.split["type"] == "FewShot"
    assert recipe.split["of"]["type"] == "Everybody"


def test_a_length_that_nobody_chose_is_refused() -> None:
    experiment = read_experiment(FIRST_HOUSE / "first")
    none = replace(experiment, runs=tuple(run for run in experiment.runs if run.stage != "sig"))
    with pytest.raises(UserError, match=r"--refit: stage 'sig' of .* has no complete run"):
        refit_recipe(none, "base")
    run = experiment.of("alone")[0]
    by_test = replace(run, record=replace(run.record, selected=Selected(1, "test")))
    with pytest.raises(UserError, match="chose its best epoch on the test split"):
        refit_recipe(replace(experiment, runs=(by_test,)), "alone")


@pytest.mark.slow
def test_everybody_trains_and_the_card_tells_the_estimate(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    source, out = find_source(runs / "study", "half/base"), tmp_path / "out"
    words = ["ship", runs / "study", "--method", "half/base", "--refit", "--to", out]
    words += ["--formats", "onnx", "--data", tmp_path, "--device", "cpu"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output

    folder = source.experiment.folder / "refit-base"
    run = read_experiment(folder).of("base")[0]
    data = run.record.data
    everybody = {
        *source.run.record.data.train_subjects,
        *source.run.record.data.validation_subjects,
    }
    everybody |= {*source.run.record.data.test_subjects}
    assert set(data.train_subjects) == everybody
    n = sum(getattr(source.run.record.data, side) for side in ("n_train", "n_validation", "n_test"))
    assert (data.n_train, data.n_validation, data.n_test) == (n, 0, 0)
    assert run.evaluations == {}
    assert run.record.selected.on == "last"

    card, first = (out / "card.md").read_text(), source.run.evaluations["test"]
    top = card.splitlines()[0]
    assert top.startswith("**This network was trained on everybody, so it has no test of its own.")
    assert len(source.siblings) == 1
    assert f"accuracy {100 * first.accuracy:.1f} % (1 run: too few for an interval)" in top
    assert "This very network: everybody trained it." in card
    parity = json.loads((out / "parity.json").read_text())
    assert parity["windows"] == "training"
    assert parity["truth"].startswith("the network in PyTorch")
    held = parity["files"]["model.onnx"]["parity"]
    assert (held["n"], held["equal"]) == (n, 1.0)
    assert json.loads((out / "model.json").read_text())["run"] == run.fingerprint

    told = Told()
    found = refit(source.experiment, "base", RunConfig(data=tmp_path, accelerator="cpu"), told)
    assert found.run.record == run.record
    assert {end[3] for end in told.ends} == {"found"}
    # The experiment itself is as it was.
    assert read_experiment(source.experiment.folder).findings == source.experiment.findings
    with pytest.raises(UserError, match="was trained on everybody, so there is no test to report"):
        write_report(folder)
    with pytest.raises(
        UserError, match=r"has no test of its own; allowed: tutelage ship .*--refit"
    ):
        evidence_of(find_source(run.folder), tmp_path)


def test_a_recipe_that_somebody_wrote_cannot_leave_the_test_out(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "data: {type: SyntheticWearable}\nprotocol: refit\nstages: {alone: {}}\n"
        "split: {type: Everybody, of: {type: GroupedFolds}}\n"
    )
    with pytest.raises(
        UserError, match="protocol: found refit, which tutelage ship --refit writes"
    ):
        load(path)
    path.write_text(path.read_text().replace("protocol: refit", "train: {select: last}"))
    for command in ("check", "run"):
        done = CliRunner().invoke(app, [command, str(path), "--data", str(tmp_path)])
        assert done.exit_code != 0
        said = " ".join(done.output.replace("│", " ").split()) + str(done.exception)
        assert "split.test: found 0 in 'everybody'" in said

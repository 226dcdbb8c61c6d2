"""A search chooses on validation alone, goes on after a kill, and says what it cannot tell apart."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats
from typer.testing import CliRunner

from tests.training import small
from tutelage.cli.root import app
from tutelage.data.synthetic import SyntheticWearable
from tutelage.errors import UserError
from tutelage.execution.listener import Quiet
from tutelage.execution.run import execute
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe
from tutelage.report.study.tuning import paragraph, write_tuning
from tutelage.runs.ledger import read_experiment
from tutelage.study.file import load_study
from tutelage.study.tune import own_search, plateau, reach, read_tuning, search_of, tune
from tutelage.study.tune.record import Again, Axis, Score, Setting, Tuning
from tutelage.study.tune.space import dimension
from tutelage.study.tune.store import Store
from tutelage.study.tune.watch import GivenUp, Watch

WEIGHTS = "distiller.soft.weighting.weights"


def reduced(content):
    """Signals only, one teacher, and a stage that no search needs."""
    content["modalities"] = {}
    content["stages"] = {"sig": {"seed": 0}, "kd": {"teachers": ["sig"]}, "alone": {}}
    content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    content["train"] = {"epochs": 2, "batch_size": 16, "learning_rate": 0.05}


def write(folder: Path, name: str = "search", **changes) -> Path:
    described = {
        "stage": "kd",
        "space": {"distiller": {"simplex": ["labels.coefficient", "soft.coefficient"], "low": 0.1}},
        "budget": {"runs": 3},
        "again": [1],
    } | changes  # fmt: skip
    content = {"recipe": small.recipe(reduced), "tune": described}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def study(folder: Path, **changes):
    return load_study(write(folder, **changes), name="search")


def refusal(folder: Path, **changes) -> str:
    with pytest.raises(UserError) as error:
        search_of(study(folder, **changes))
    return str(error.value)


# The space


def values_of(one, point):
    from optuna.trial import FixedTrial

    return one.suggest(FixedTrial(point), "w")


def test_parts_of_a_grid_are_all_multiples_and_sum_to_one():
    one = dimension("w", {"simplex": ["a", "b", "c"], "step": 0.25})
    points = [values_of(one, point) for point in one.grid("w")]
    wanted = {(i, j, 4 - i - j) for i in range(5) for j in range(5 - i)}
    assert {tuple(round(4 * p[f"w.{k}"], 3) for k in "abc") for p in points} == wanted
    assert len(points) == len(wanted) == 15
    assert all(abs(sum(point.values()) - 1) < 1e-12 for point in points)


def test_broken_sticks_are_uniform_on_the_triangle():
    one = dimension("w", {"simplex": ["a", "b", "c"]})
    draws = np.random.default_rng(0)
    points = [values_of(one, {"w[0]": u, "w[1]": v}) for u, v in draws.uniform(size=(2000, 2))]
    for part in "abc":  # every margin of Dirichlet(1, 1, 1) is Beta(1, 2)
        values = [point[f"w.{part}"] for point in points]
        assert stats.kstest(values, stats.beta(1, 2).cdf).pvalue > 0.01


def test_a_part_is_never_below_the_least_one_and_also_goes_elsewhere():
    one = dimension("w", {"simplex": ["a", "b"], "low": 0.2, "also": ["v"]})
    point = values_of(one, {"w[0]": 0.0})
    assert point == {"w.a": 0.2, "w.b": 0.8, "v.a": 0.2, "v.b": 0.8}
    content = {"w": {"a": 0.35, "b": 0.65}}
    assert values_of(one, one.given("w", content))["w.a"] == 0.35
    assert one.given("w", {"w": {"a": 0.1, "b": 0.9}}) is None


def test_numbers_are_whole_if_both_ends_are():
    assert [p["w"] for p in dimension("w", {"low": 1, "high": 9, "points": 3}).grid("w")] == [
        1,
        5,
        9,
    ]
    logarithmic = dimension("w", {"low": 0.01, "high": 1.0, "log": True, "points": 3})
    assert [p["w"] for p in logarithmic.grid("w")] == [0.01, 0.1, 1.0]
    assert dimension("w", {"low": 1, "high": 9}).given("w", {"w": 2.5}) is None


def test_mistakes_are_one_sentence(tmp_path):
    assert refusal(tmp_path, stage="kdd").startswith(
        "tune.stage: unknown stage 'kdd'; did you mean 'kd'"
    )
    assert "is fixed, but its noise" in refusal(tmp_path, stage="sig")
    wrong = {"distiller.sofft.coefficient": {"low": 0.1, "high": 0.9}}
    assert "unknown key 'sofft'; did you mean 'soft'" in refusal(tmp_path, space=wrong)
    assert "low must be smaller" in refusal(tmp_path, space={"train.epochs": {"low": 3, "high": 2}})
    assert "high: is missing; did you mean 'hihg'" in refusal(
        tmp_path, space={"train.epochs": {"low": 3, "hihg": 2}}
    )
    assert "tune.budget: is missing" in refusal(tmp_path, budget={})
    assert "seeds that the search does not use" in refusal(tmp_path, again=[0])
    useless = {"stages.sig.distiller.labels.coefficient": {"low": 0.1, "high": 0.9}}
    search_of(study(tmp_path, space=useless))  # a teacher may be searched as well
    content = yaml.safe_load(write(tmp_path).read_text())
    content["recipe"]["stages"]["kd"]["distiller"] = {"labels": {"coefficient": 0.5}}
    content["tune"]["space"] = {"distiller.labels.coefficient": {"low": 0.1, "high": 0.9}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"changes nothing; stages\.kd says the same itself"):
        search_of(load_study(tmp_path / "own.yaml"))
    content["recipe"]["protocol"] = "legacy"
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="a search allows honest only"):
        search_of(load_study(tmp_path / "own.yaml"))


def test_without_optuna_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "needs optuna: pip install 'tutelage[study]'" in refusal(tmp_path)


# The plateau


def made_up(values: dict[float, float], again: list[float], **changes) -> Tuning:
    axis = Axis("share", "number", ("share",), low=0.0, high=1.0)
    settings = tuple(
        Setting(i, "complete", {"share": x}, y, (Score("0", 0, y),), 6, "", f"setting-{i:04d}")
        for i, (x, y) in enumerate(values.items())
    )
    record = Tuning(
        1, "s", "", "kd", "accuracy", "tpe", 0, "5.0", {"runs": None, "minutes": None}, None, False,
        ("0",), (0,), 6, ("S1",), 100, (axis,), settings, None, None, "", 1.0, "HAPT", False, {},
    )  # fmt: skip
    best = record.best
    fresh = tuple(Score("0", i + 1, y) for i, y in enumerate(again))
    repeated = Again(best.number, (1, 2, 3), fresh, "again") if again else None
    return replace(record, again=repeated, **changes)


def test_the_plateau_is_what_noise_cannot_tell_from_the_best():
    found = {0.1: 0.80, 0.5: 0.85, 0.7: 0.900, 0.85: 0.910, 0.99: 0.896}
    tuning = made_up(found, [0.898, 0.902, 0.900])
    measured = plateau(tuning)
    sd = np.std([0.910, 0.898, 0.902, 0.900], ddof=1)
    margin = stats.t.ppf(0.975, 3) * sd * np.sqrt(1 + 1 / 3)
    assert measured.fresh and measured.reference == pytest.approx(0.9)
    assert measured.sd == pytest.approx(sd) and measured.margin == pytest.approx(margin)
    (share,) = reach(tuning, measured, tuning.axes[0])
    assert (share.low, share.high, share.whole, share.gaps) == (0.7, 0.99, False, False)
    text = paragraph(tuning, measured)
    assert "Indistinguishable from the best: share 0.7 to 0.99." in text
    assert "3 of 5 settings" in text and "the test split was not evaluated" in text


def test_a_gap_in_the_plateau_is_said():
    tuning = made_up({0.1: 0.9, 0.5: 0.5, 0.9: 0.91}, [0.90, 0.905, 0.902])
    measured = plateau(tuning)
    (share,) = reach(tuning, measured, tuning.axes[0])
    assert share.gaps and share.whole
    assert "with worse settings in between" in paragraph(tuning, measured)


def test_without_repeated_seeds_no_plateau_is_claimed():
    tuning = made_up({0.1: 0.9, 0.5: 0.5}, [])
    measured = plateau(tuning)
    assert measured.margin is None and not measured.inside and not measured.fresh
    assert "noise over seeds was not measured" in paragraph(tuning, measured)


def test_less_is_better_for_a_loss():
    tuning = made_up({0.1: 0.9, 0.5: 0.5, 0.6: 0.51}, [], metric="nll")
    assert tuning.best.values == {"share": 0.5}
    again = Again(1, (1, 2), (Score("0", 1, 0.5), Score("0", 2, 0.52)), "again")
    measured = plateau(replace(tuning, again=again))
    assert [one.number for one in measured.inside] == [1, 2]


def test_the_noise_is_pooled_within_folds():
    tuning = made_up({0.5: 0.8}, [])
    scores = (Score("0", 0, 0.7), Score("1", 0, 0.9))
    setting = replace(tuning.settings[0], scores=scores)
    again = Again(0, (1,), (Score("0", 1, 0.72), Score("1", 1, 0.92)), "again")
    measured = plateau(replace(tuning, settings=(setting,), again=again))
    assert measured.sd == pytest.approx(0.02 / np.sqrt(2))
    assert measured.reference == pytest.approx(0.82)
    half = stats.t.ppf(0.975, 2) * measured.sd * np.sqrt(1 / 2 + 1 / 2)
    assert measured.margin == pytest.approx(half)


# Early stopping


class Told:
    """Stands for a trial."""

    number = 0

    def __init__(self, hopeless_at=None):
        self.steps, self.hopeless_at = [], hopeless_at

    def report(self, value, step):
        self.steps.append((step, value))

    def should_prune(self):
        return bool(self.steps) and self.steps[-1][0] == self.hopeless_at


class Named:
    """Stands for a job."""

    def __init__(self, seed):
        self.stage, self.fold, self.seed, self.folder = "kd", 0, seed, Path(f"seed-{seed}")


def watching(trial, tmp_path, known=()):
    asked = search_of(study(tmp_path, prune={})).tune
    recipe = Recipe.model_validate(small.recipe(reduced))
    return Watch(trial, asked, recipe, [(0, 0), (0, 1)], tmp_path, list(known), Quiet())


def row(epoch, accuracy):
    return {"epoch": epoch, "validation": {"accuracy": accuracy, "macro_f1": accuracy, "loss": 1.0}}


def test_runs_are_judged_in_order_whatever_order_they_are_trained_in(tmp_path):
    orders = [[(0, 0), (0, 1), (1, 0), (1, 1)], [(1, 0), (1, 1), (0, 0), (0, 1)]]
    values = {(0, 0): 0.5, (0, 1): 0.4, (1, 0): 0.6, (1, 1): 0.8}
    told = []
    for order in orders:
        trial = Told()
        watch = watching(trial, tmp_path)
        for seed, epoch in order:
            watch.epoch(Named(seed), row(epoch, values[seed, epoch]), 2)
            if epoch == 1:
                final = {"accuracy": max(values[seed, 0], values[seed, 1])}
                watch.end(Named(seed), "trained", {"validation": final})
        told.append(trial.steps)
    # The epoch that would be kept counts: 0.4 after 0.5 changes nothing.
    assert told[0] == told[1] == [(1, 0.5), (2, 0.5), (3, 0.55), (4, 0.65)]


def test_a_setting_is_given_up_but_never_after_its_last_epoch(tmp_path):
    watch = watching(Told(hopeless_at=2), tmp_path)
    watch.epoch(Named(0), row(0, 0.5), 2)
    with pytest.raises(GivenUp):
        watch.epoch(Named(0), row(1, 0.5), 2)
    watch = watching(Told(hopeless_at=4), tmp_path, known=[1, 2, 3])
    for seed in (0, 1):
        watch.epoch(Named(seed), row(0, 0.5), 2)
        watch.epoch(Named(seed), row(1, 0.5), 2)
        watch.end(Named(seed), "trained", {"validation": {"accuracy": 0.5}})


def test_epochs_of_an_earlier_sitting_are_read_from_the_log(tmp_path):
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0" / "metrics.jsonl").write_text(json.dumps(row(0, 0.7)) + '\n{"epo')
    trial = Told()
    watch = watching(trial, tmp_path)
    watch.begin(Named(0), 0, 1, "")
    watch.epoch(Named(0), row(1, 0.6), 2)
    assert trial.steps == [(1, 0.7), (2, 0.7)]


# Searches


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    tune(study(folder), RunConfig(folder / "runs"))
    return folder


def test_the_test_split_is_not_evaluated(searched):
    paths = [path for path in (searched / "runs").rglob("*") if path.is_file()]
    assert not [path for path in paths if "test" in path.name]
    for path in paths:
        if path.name == "evaluation.json":
            assert set(json.loads(path.read_text())) == {"validation"}
        if path.name == "run.json":
            record = json.loads(path.read_text())
            assert record["blind"] and record["data"]["n_test"] == 0


def test_teachers_are_shared_and_other_stages_left_out(searched):
    stages = [path.parts[-3] for path in (searched / "runs").rglob("run.json")]
    assert stages.count("sig") == 1 and stages.count("kd") == 3 + 1 and "alone" not in stages


def test_every_setting_is_an_ordinary_experiment(searched):
    found = read_tuning(searched / "runs" / "search")
    assert [one.state for one in found.settings] == ["complete"] * 3
    for one in found.settings:
        experiment = read_experiment(searched / "runs" / "search" / one.folder)
        (value,) = experiment.values("kd", lambda e: e.accuracy, "validation").values()
        assert value == one.value
    assert found.settings[0].values["distiller.soft.coefficient"] == 0.5 and found.own == 0
    assert found.again.seeds == (1,) and len(found.again.scores) == 1
    assert found.ended == "the budget of 3 runs was used up"


def test_a_finished_search_trains_nothing_and_says_the_same(searched):
    before = read_tuning(searched / "runs" / "search")
    times = {path: path.stat().st_mtime for path in (searched / "runs").rglob("run.json")}
    tune(study(searched), RunConfig(searched / "runs"))
    assert {path: path.stat().st_mtime for path in (searched / "runs").rglob("run.json")} == times
    assert read_tuning(searched / "runs" / "search") == before


def test_an_interrupted_search_goes_on_with_the_same_settings(searched, tmp_path):
    class Impatient(Quiet):
        epochs = 0

        def epoch(self, job, row, epochs):
            self.epochs += 1
            if self.epochs == 5:  # in the second setting
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(study(tmp_path), RunConfig(tmp_path / "runs"), Impatient())
    journal = tmp_path / "runs" / "search" / "tune" / "optuna.log"
    with journal.open("a") as file:
        file.write('{"half a li')
    tune(study(tmp_path), RunConfig(tmp_path / "runs"))
    found, wanted = (read_tuning(one / "runs" / "search") for one in (tmp_path, searched))
    assert found.settings == wanted.settings and found.again == wanted.again


def test_a_grid_is_whole_though_a_command_died_while_it_was_laid_out(tmp_path, monkeypatch):
    import optuna

    search = search_of(study(tmp_path, method="grid"))
    enqueue, calls = optuna.Study.enqueue_trial, []

    def dying(self, *arguments, **others):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        enqueue(self, *arguments, **others)

    monkeypatch.setattr(optuna.Study, "enqueue_trial", dying)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path / "tune", search, 1, 2)
    store = Store(tmp_path / "tune", search, 1, 2)
    shares = [one.system_attrs["fixed_params"]["distiller[0]"] for one in store.trials()]
    assert sorted(shares) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_another_search_is_not_mixed_in(searched):
    space = {"distiller.soft.term.temperature": {"low": 1.0, "high": 9.0}}
    with pytest.raises(UserError, match="holds a search with another space"):
        tune(study(searched, space=space), RunConfig(searched / "runs"))


def test_an_edited_search_has_a_folder_of_its_own_and_a_longer_one_goes_on(searched):
    runs = searched / "runs"
    assert own_search(study(searched), runs).name == "search"
    assert own_search(study(searched, budget={"runs": 99}), runs).name == "search"
    space = {"distiller.soft.term.temperature": {"low": 1.0, "high": 9.0}}
    other = own_search(study(searched, space=space), runs).name
    assert other.startswith("search-") and not (runs / other).exists()
    assert own_search(study(searched, space=space), runs).name == other


def test_an_honest_run_continues_a_blind_one_and_leaves_it_blind(searched):
    best = read_tuning(searched / "runs" / "search").best
    search = search_of(study(searched))
    content = search.recipe_at(best.values).model_dump() | {"protocol": "honest"}
    folder = execute(Recipe.model_validate(content), "honest", RunConfig(searched / "runs"))
    (run,) = read_experiment(folder).of("kd")
    assert set(run.evaluations) == {"validation", "test"} and run.record.data.n_test > 0
    assert run.evaluations["validation"].accuracy == best.value
    (blind,) = (searched / "runs" / "search" / best.folder).glob("*/kd/*")
    assert blind.name == run.folder.name and blind != run.folder
    assert (blind / "timing.jsonl").read_text() == (run.folder / "timing.jsonl").read_text()
    assert set(json.loads((blind / "evaluation.json").read_text())) == {"validation"}


def test_another_test_split_changes_no_number(searched, tmp_path, monkeypatch):
    load = SyntheticWearable.load

    def poisoned(self, *arguments):
        data = load(self, *arguments)
        recipe = search_of(study(tmp_path)).recipe
        from tutelage.recipe.instantiate import build

        splitter = build("tutelage.data.splits", recipe.split, "split", method="split")
        tested = splitter.split(data, 0).test
        data.inputs[tested] = np.random.default_rng(9).normal(50, 9, data.inputs[tested].shape)
        data.labels[tested] = 0
        return data

    monkeypatch.setattr(SyntheticWearable, "load", poisoned)
    tune(study(tmp_path), RunConfig(tmp_path / "runs"))
    found, wanted = (read_tuning(one / "runs" / "search") for one in (tmp_path, searched))
    assert found.settings == wanted.settings


def test_hopeless_settings_are_stopped_early(tmp_path):
    grid = {"train.learning_rate": {"values": [0.05, 0.04, 1e-9]}}
    told = []
    folder = tune(
        study(tmp_path, space=grid, method="grid", budget={}, again=[],
              prune={"after": 0, "settings": 2}),
        RunConfig(tmp_path / "runs"), tell=told.append,
    )  # fmt: skip
    found = read_tuning(folder)
    assert [one.state for one in found.settings] in (
        ["complete", "complete", "stopped early"], ["complete", "complete", "failed"],
    )  # fmt: skip
    assert found.ended == "all 3 points of the grid were tried" and found.again is None
    assert found.settings[2].value is None and len(told) == 3


def test_the_report_has_the_triangle_and_the_paragraph(tmp_path):
    draws = np.random.default_rng(0).dirichlet([1, 1, 1], 12).round(3)
    axis = Axis(WEIGHTS, "simplex", (WEIGHTS,), ("sig", "pi", "gaf"), 0.0)
    settings = tuple(
        Setting(i, "complete", dict(zip(axis.columns, map(float, w), strict=True)), y,
                (Score("0", 0, y),), 6, "", f"setting-{i:04d}")
        for i, w in enumerate(draws) for y in [0.9 - float(w[0] - 0.4) ** 2]
    )  # fmt: skip
    tuning = replace(made_up({0.5: 0.5}, []), axes=(axis,), settings=settings)
    best = tuning.best
    fresh = tuple(Score("0", s, 0.9 + s / 1000) for s in (1, 2, 3))
    replace(tuning, again=Again(best.number, (1, 2, 3), fresh, "again")).write(tmp_path / "tune")
    page = write_tuning(tmp_path).read_text()
    assert "as parts of one" in page and "ternary-sig-pi-gaf.png" in page
    assert f"{WEIGHTS}.sig={best.values[f'{WEIGHTS}.sig']}" in page
    assert (tmp_path / "tune" / "ternary-sig-pi-gaf.png").stat().st_size > 20_000
    rows = (tmp_path / "tune" / "ternary-sig-pi-gaf.csv").read_text().splitlines()
    assert len(rows) == 1 + len(settings)


def test_a_record_that_contradicts_itself_is_refused(tmp_path):
    tuning = made_up({0.5: 0.5}, [])
    changed = replace(tuning.settings[0], value=0.9)
    replace(tuning, settings=(changed,)).write(tmp_path / "tune")
    with pytest.raises(UserError, match=r"setting 0 is 0\.9, but its runs give 0\.5"):
        read_tuning(tmp_path)


def test_kill_9_then_the_same_command(tmp_path):
    path = write(tmp_path, budget={"runs": 2}, again=[])
    words = ["study", "tune", str(path), "--runs", str(tmp_path / "runs"), "--name", "search"]
    command = [sys.executable, "-m", "tutelage.cli.root", *words, "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        logs = tmp_path / "runs" / "search"
        deadline = time.monotonic() + 600
        while not list(logs.glob("setting-0000/*/kd/*/metrics.jsonl")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    done = CliRunner().invoke(app, [*words, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    found = read_tuning(logs)
    assert [one.state for one in found.settings] == ["complete"] * 2
    assert (logs / "tune" / "tune.md").is_file()
    seeds = list(logs.glob("setting-*/*/kd/*/metrics.jsonl"))
    assert [len(seed.read_text().splitlines()) for seed in seeds] == [2, 2]

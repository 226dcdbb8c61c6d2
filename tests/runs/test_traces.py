"""Recorded weights and values, checked against the files by plain loops."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.report.fake import Fake, write
from tutelage.errors import UserError
from tutelage.runs.frames import traces_frame
from tutelage.runs.ledger import read_experiment
from tutelage.runs.traces import recorded, trusts

TEACHERS = ("sig", "pi")
WEIGHTS = tuple(f"soft.weight.{name}" for name in TEACHERS)
SMALL = {"windows": 20, "epochs": 3, "stages": ("sig", "pi", "alone", "base"), "trained": 90}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    traces = {"base": (*WEIGHTS, "soft.distance.sig", "hint.gap")}
    return write(
        tmp_path_factory.mktemp("whole"), Fake(**SMALL, traces=traces, untrained=("lying",))
    )


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def raw(folder):
    """Lines of ``metrics.jsonl`` and arrays of ``traces.npz`` by run folder, read without our code."""
    found = {}
    for place in sorted(folder.glob("*/base/*")):
        lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
        with np.load(place / "traces.npz") as stored:
            found[place.name] = lines, {name: stored[name] for name in stored.files}
    return found


def first(folder, file):
    return next(iter(sorted(folder.glob(f"fold-1/base/*/{file}"))))


def edit(path, change):
    """Change the last line of a log."""
    lines = path.read_text().splitlines()
    row = json.loads(lines[-1])
    change(row)
    path.write_text("\n".join([*lines[:-1], json.dumps(row)]) + "\n")


def test_a_run_without_traces_has_none(whole):
    experiment = read_experiment(whole)
    for run in (*experiment.of("alone"), *experiment.of("sig")):
        assert run.sample_traces() is None
        assert all(epoch.traces == {} for epoch in run.curve())
    assert set(traces_frame(experiment)["stage"]) == {"base"}


def test_nothing_recorded_is_nothing_found(tmp_path):
    experiment = read_experiment(write(tmp_path, Fake(**SMALL)))
    assert traces_frame(experiment).empty
    assert trusts(experiment) == () and recorded(experiment) == ()


def test_weights_are_those_of_the_files(whole):
    (found,) = trusts(read_experiment(whole))
    runs = raw(whole)
    assert (found.stage, found.objective, found.teachers, found.runs) == (
        "base",
        "soft",
        TEACHERS,
        6,
    )
    for course, name in zip(found.courses, WEIGHTS, strict=True):
        for e in range(3):
            values = [lines[e]["traces"][name]["mean"] for lines, _ in runs.values()]
            assert course.mean[e] == pytest.approx(sum(values) / 6)
            assert (course.low[e], course.high[e]) == (min(values), max(values))
        assert list(course.epochs) == [1, 2, 3] and list(course.runs) == [6, 6, 6]
    assert found.leader == int(found.last[1] > found.last[0])
    for c, label in enumerate(found.classes):
        for k, name in enumerate(WEIGHTS):
            values = [lines[-1]["traces"][name]["by_class"][c] for lines, _ in runs.values()]
            if label == "lying":
                assert values == [None] * 6 and np.isnan(found.by_class[c, k])
            else:
                assert found.by_class[c, k] == pytest.approx(sum(values) / 6)


def test_shares_count_the_samples_of_each_top_teacher(whole):
    (found,) = trusts(read_experiment(whole))
    shares = []
    for _, arrays in raw(whole).values():
        wins = [0, 0]
        for a, b in zip(arrays[WEIGHTS[0]], arrays[WEIGHTS[1]], strict=True):
            wins[int(b > a)] += 1
        shares.append([win / 90 for win in wins])
    assert found.top == pytest.approx(np.mean(shares, axis=0)) and found.top_runs == 6
    assert found.top.sum() == pytest.approx(1)


def test_equal_weights_share_a_sample(folder):
    for path in folder.glob("*/base/*/traces.npz"):
        half = np.full(90, 0.5, np.float32)
        half[:30] = 0.75
        other = np.where(half == 0.5, 0.5, 0.25).astype(np.float32)
        np.savez(path, index=np.arange(90), **{WEIGHTS[0]: half, WEIGHTS[1]: other})

        def means(row):
            for name, mean in zip(WEIGHTS, (7 / 12, 5 / 12), strict=True):
                row["traces"][name]["mean"] = mean

        edit(path.parent / "metrics.jsonl", means)
    (found,) = trusts(read_experiment(folder))
    assert found.top == pytest.approx([2 / 3, 1 / 3])


def test_other_values_are_not_weights(whole):
    (found,) = recorded(read_experiment(whole))
    assert [course.name for course in found.courses] == ["soft.distance.sig", "hint.gap"]
    expected = [lines[-1]["traces"]["hint.gap"]["mean"] for lines, _ in raw(whole).values()]
    assert found.courses[1].mean[-1] == pytest.approx(np.mean(expected))
    assert (found.stage, found.runs) == ("base", 6)


def test_values_that_are_not_finite_are_no_numbers(folder):
    def spoil(row):
        row["traces"]["hint.gap"] = {"mean": float("nan"), "by_class": [float("inf")] * 6}
        row["traces"][WEIGHTS[0]]["by_class"][0] = float("-inf")

    edit(first(folder, "metrics.jsonl"), spoil)
    experiment = read_experiment(folder)
    run = next(r for r in experiment.of("base") if r.folder == first(folder, "run.json").parent)
    last = run.curve()[-1].traces
    assert last["hint.gap"].mean is None and set(last["hint.gap"].by_class) == {None}
    (found,), (other,) = trusts(experiment), recorded(experiment)
    assert list(other.courses[1].runs) == [6, 6, 5] and np.isfinite(other.courses[1].mean).all()
    assert np.isfinite(found.by_class[0]).all()


def test_runs_without_samples_are_counted(folder):
    first(folder, "traces.npz").unlink()
    (found,) = trusts(read_experiment(folder))
    assert (found.runs, found.top_runs) == (6, 5)
    for path in folder.glob("*/base/*/traces.npz"):
        path.unlink()
    (found,) = trusts(read_experiment(folder))
    assert found.top is None and found.top_runs == 0


def test_a_teacher_that_one_run_lacks(folder):
    def drop(row):
        del row["traces"][WEIGHTS[1]]

    edit(first(folder, "metrics.jsonl"), drop)
    (found,) = trusts(read_experiment(folder))
    assert found.teachers == TEACHERS and list(found.courses[1].runs) == [6, 6, 5]


def test_objectives_and_teachers_may_have_dots(tmp_path):
    names = ("pair.soft.weight.sig", "pair.soft.weight.my.weight.net")
    folder = write(tmp_path, Fake(**SMALL, traces={"base": names}))
    (found,) = trusts(read_experiment(folder))
    assert (found.objective, found.teachers) == ("pair.soft", ("sig", "my.weight.net"))


def test_contradictions_are_refused(folder):
    log, arrays = first(folder, "metrics.jsonl"), first(folder, "traces.npz")
    kept = log.read_text()
    edit(log, lambda row: row["traces"][WEIGHTS[0]]["by_class"].pop())
    with pytest.raises(UserError, match=r"soft.weight.sig.by_class has 5 values for 6 classes"):
        trusts(read_experiment(folder))
    log.write_text(kept)
    edit(log, lambda row: row["traces"]["hint.gap"].update(mean=99.0))
    with pytest.raises(UserError, match=r"the mean of hint.gap is .* says 99.0000"):
        trusts(read_experiment(folder))
    log.write_text(kept)
    edit(log, lambda row: row["traces"]["hint.gap"].update(mean="much"))
    with pytest.raises(UserError, match=r"traces.hint.gap.mean"):
        trusts(read_experiment(folder))
    log.write_text(kept)
    np.savez(arrays, index=np.arange(90), **{WEIGHTS[0]: np.zeros((90, 2))})
    with pytest.raises(UserError, match=r"soft.weight.sig is \(90, 2\), but there are 90 samples"):
        trusts(read_experiment(folder))


@pytest.mark.parametrize("content", ["objects", "no index", "cut", "text"])
def test_files_that_are_no_traces_are_refused(folder, content):
    path = first(folder, "traces.npz")
    if content == "objects":
        np.savez(path, index=np.array([object()]))
    elif content == "no index":
        np.savez(path, other=np.zeros(3))
    else:
        path.write_bytes(path.read_bytes()[:200] if content == "cut" else b"no archive")
    with pytest.raises(UserError, match="not a file of traces"):
        trusts(read_experiment(folder))

"""What a study takes: counted, measured, added up, and refused where it does not fit."""

import json
from dataclasses import replace

import pytest

from tests.execution.tiny import Told, carried_out, places, write
from tutelage.cli.progress import show_estimate, show_status
from tutelage.errors import UserError
from tutelage.execution import costs as costing
from tutelage.execution import estimation as estimating
from tutelage.execution.costs import Costs
from tutelage.execution.estimation import estimate, refuse_unfit
from tutelage.execution.kinds import kind_of
from tutelage.execution.probe import Cost, TeacherCost
from tutelage.study.file import load_study
from tutelage.study.run import plan_study
from tutelage.study.status import duration, status_of


def planned_of(folder, told=None, jobs=1, **changes):
    study = load_study(write(folder, **changes), name="tiny")
    return plan_study(study, places(folder, jobs), told or Told())


def test_a_kind_is_what_is_computed_not_its_numbers(tmp_path):
    vary = {
        "it": {
            "plain": {}, "share": {"distiller.soft.coefficient": 0.9},
            "rate": {"train.learning_rate": 0.2}, "long": {"train.epochs": 5},
            "batch": {"train.batch_size": 8}, "deep": {"network.depth": 16},
            "extra": {"distiller.gone": {"type": "Labels"}},
        }
    }  # fmt: skip
    tasks = planned_of(tmp_path, vary=vary, set={"seeds": [0, 1]}).tasks
    kinds = {}
    for task in tasks:
        if task.spec.stage == "student":
            kinds.setdefault(task.cell, set()).add(kind_of(task.spec))
    assert all(len(found) == 1 for found in kinds.values())
    assert kinds["plain"] == kinds["share"] == kinds["rate"] == kinds["long"]
    assert len({min(found) for found in kinds.values()}) == 4


def test_the_estimate_adds_up_what_was_measured(tmp_path, monkeypatch):
    """Four runs one after the other, added up by hand."""
    teacher = TeacherCost(sample=1.0, pair=0.5, bytes_per_sample=10, bytes_per_pair=2)
    cost = Cost(
        step=10.0, epoch=3.0, predict=0.25, run=7.0, teachers={}, memory=1000, folder=500, traces=2.0
    )  # fmt: skip

    def measured(tasks, *_, **__):
        with_teacher = replace(cost, teachers={"wide": teacher})
        return Costs(
            {kind_of(t.spec): with_teacher if t.spec.teachers else cost for t in tasks}, start=2.0
        )

    monkeypatch.setattr(estimating, "measure", measured)
    planned = planned_of(tmp_path)
    fold = planned.kept.fold(planned.tasks[0].spec.data, 0)
    taught, watched, tested = (len(s) for s in fold.split.sides().values())
    found = estimating.estimate(planned, Told(), well=True, spent=1.0)
    assert (found.asked, found.shared, found.found, found.missing) == (6, 2, 0, 4)
    one = 7 + (10 * (taught // 16) + 0.25 * watched + 3) + 0.25 * (watched + tested)
    caching = taught + 0.5 * taught**2  # once: both students learn from the same outputs
    assert found.seconds == pytest.approx(1 + 2 + 4 * one + caching)
    assert {kind.stages: (kind.runs, kind.seconds) for kind in found.kinds} == {
        "wide": (1, one), "alone": (1, one), "student": (2, one),
    }  # fmt: skip
    folders = 4 * (500 + (watched + tested) * (4 * 3 + 64) + 2 * taught + 1500)
    assert found.disk == pytest.approx(folders + 10 * taught + 2 * taught**2, abs=4)
    assert found.memory == 1000

    # Two side by side: teacher and lone student, then both students, of whom one waits for the other's cache.
    planned.config = places(tmp_path, 2)
    beside = estimating.estimate(planned, Told(), well=True)
    assert beside.seconds == pytest.approx(2 + 2 * one + caching)
    assert beside.memory == 2000


def test_what_does_not_fit_is_refused_with_the_way_out(tmp_path):
    found = estimating.Estimate(
        asked=1, shared=0, found=0, missing=1, kinds=(), size=4, seconds=1.0,
        disk=10**9, free_disk=2 * 10**9, memory=10**9, free_memory=2 * 10**9,
    )  # fmt: skip
    refuse_unfit(found, tmp_path)
    with pytest.raises(
        UserError, match=r"writes about 3.0 GB, and 2.0 GB are free; free some room"
    ):
        refuse_unfit(replace(found, disk=3 * 10**9), tmp_path)
    with pytest.raises(UserError, match=r"4 processes need about 4\.0 GB .*\(allowed: --jobs 2"):
        refuse_unfit(replace(found, memory=4 * 10**9), tmp_path)


def test_a_probe_measures_real_steps_and_is_remembered(tmp_path, monkeypatch):
    planned = planned_of(tmp_path)
    monkeypatch.setattr(costing, "_TOGETHER", 0.0)
    monkeypatch.setattr(costing, "_LEAST", 0.0)
    found = estimate(planned, Told(), well=True)
    assert all(kind.seconds > 0 for kind in found.kinds)
    assert found.seconds > sum(kind.seconds * kind.runs for kind in found.kinds) * 0.99
    assert 10**4 < found.disk < 10**8
    assert found.memory > 10**7
    assert not list((tmp_path / "runs").glob("[!.]*"))  # nothing but the cache
    remembered = list((tmp_path / "runs" / ".cache" / "costs").glob("*.json"))
    assert len(remembered) == 3

    def never(*_):
        raise AssertionError("known already")

    monkeypatch.setattr(costing, "probe", never)
    assert estimate(planned, Told(), well=False).seconds == pytest.approx(found.seconds, rel=0.5)
    # What cannot be measured is said, and does not stop the rest.
    blind = estimate(planned, Told(), well=True)
    assert {kind.why for kind in blind.kinds} == {"AssertionError: known already"}
    show_estimate("tiny", 2, blind)


def test_a_status_needs_only_the_records(tmp_path, capsys):
    folder, _ = carried_out(tmp_path)
    path = next(folder.glob("half/*/alone/*")) / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"status": "running", "finished": None}))
    found = status_of(folder)
    assert found.counts == {"done": 3, "stopped": 1}
    assert found.cells[1].counts == {"done": 2, "stopped": 1}
    assert found.left is not None
    failure = {"message": "it burst"}
    path.write_text(json.dumps(record | {"status": "failed", "failure": failure}))
    found = status_of(folder)
    assert found.cells[0].failures == ("alone, fold 0, seed 0: it burst",)
    show_status(found)
    assert "it burst" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"there is no study\.json"):
        status_of(tmp_path)


def test_durations_are_in_words():
    assert [duration(s) for s in (3.2, 89, 95, 5399, 5401, 7260)] == [
        "3 s", "89 s", "2 min", "1 h 30 min", "1 h 30 min", "2 h 01 min",
    ]  # fmt: skip


def test_a_representation_counts_until_it_is_made(tmp_path):
    from tests.training.small import recipe

    images = recipe(lambda content: content.update(stages={"gaf": {"input": "gaf"}}, baseline=None))
    planned = planned_of(tmp_path, recipe=images, vary={})
    data = planned.kept.fold(planned.tasks[0].spec.data, 0)
    ((seconds, size),) = estimating._representations(planned, planned.missing).values()
    assert seconds > 0
    assert not data.has("gaf")
    values = data.values("gaf")
    assert size == values.nbytes
    assert data.has("gaf")
    assert data.has("signal")
    assert estimating._representations(planned, planned.missing) == {}


@pytest.mark.parametrize(
    ("kinds", "jobs", "copies"), [(1, 1, 1), (1, 2, 2), (3, 2, 2), (4, 2, 1), (1, 8, 2), (40, 8, 1)]
)
def test_many_kinds_compete_with_one_another_and_few_with_copies(kinds, jobs, copies):
    assert costing._copies(range(kinds), jobs) == copies

"""One queue of runs over all cells: shared runs, failures, dead processes, and other commands on the study."""

import json
import os
import signal
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from tests.execution.tiny import Told, carried_out, content, places, write
from tutelage.errors import UserError
from tutelage.execution import claim
from tutelage.execution.claim import Outcome, run_outcome
from tutelage.execution.data_cache import DataCache
from tutelage.execution.pool import Pool, WorkerDiedError
from tutelage.execution.queue import Queue
from tutelage.execution.run import make_plan
from tutelage.recipe.data_spec import DataSpec
from tutelage.runs.ledger import read_experiment
from tutelage.study.file import load_study
from tutelage.study.run import plan_study, run_study


def records(folder):
    return {path.parent: json.loads(path.read_text()) for path in folder.glob("*/*/*/*/run.json")}


def test_cells_share_their_runs_and_each_is_an_ordinary_experiment(tmp_path):
    folder, told = carried_out(tmp_path)
    assert sorted(told.those("trained")) == [
        ("half", "alone", 0), ("half", "student", 0), ("half", "wide", 0), ("most", "student", 0),
    ]  # fmt: skip
    assert sorted(told.those("found")) == [("most", "alone", 0), ("most", "wide", 0)]
    assert len(records(folder)) == 4
    for cell in ("half", "most"):
        found = read_experiment(folder / cell)
        assert not found.holes
        assert {run.stage for run in found.runs} >= {"alone", "student"}
    again, told = carried_out(tmp_path)
    assert not told.those("trained")
    assert again == folder


def test_a_study_finds_the_runs_of_an_experiment(tmp_path):
    from tutelage.execution.run import execute
    from tutelage.recipe.config import Recipe, parse

    execute(parse(Recipe, content()["recipe"], ""), "before", places(tmp_path))
    _, told = carried_out(tmp_path)
    assert told.those("trained") == [("most", "student", 0)]


def test_everything_is_checked_and_recorded_before_the_first_step(tmp_path, monkeypatch):
    broken = {"half": {}, "most": {"distiller.soft.term.temperature": -1}}
    with pytest.raises(UserError, match=r"cell most: .*temperature"):
        carried_out(tmp_path, vary={"share": broken})
    assert not (tmp_path / "runs" / "tiny").exists()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tutelage.execution.queue.run_outcome", stop)
    with pytest.raises(KeyboardInterrupt):
        carried_out(tmp_path)
    folder = tmp_path / "runs" / "tiny"
    assert (folder / "study.json").is_file()
    assert {hole.kind for hole in read_experiment(folder / "most").holes} == {"missing"}


def test_a_failing_run_does_not_stop_the_others(tmp_path, monkeypatch):
    real = claim.train_one

    def train(spec, *rest):
        if spec.stage == "wide":
            raise MemoryError("no room")
        return real(spec, *rest)

    monkeypatch.setattr(claim, "train_one", train)
    _, told = carried_out(tmp_path)
    assert told.those("trained") == [("half", "alone", 0)]
    assert told.those("failed: MemoryError: no room") == [("half", "wide", 0), ("most", "wide", 0)]
    assert told.those("failed: it needs wide, which failed") == [
        ("half", "student", 0), ("most", "student", 0),
    ]  # fmt: skip
    monkeypatch.undo()
    _, told = carried_out(tmp_path)  # tried again by the next command
    assert len(told.those("trained")) == 3


def test_a_failure_in_the_middle_is_recorded(tmp_path, monkeypatch):
    def fit(*_):
        raise RuntimeError("the accelerator is gone")

    monkeypatch.setattr("tutelage.training.single.fit", fit)
    folder, _ = carried_out(tmp_path)
    record = next(r for r in records(folder).values() if r["stage"] == "alone")
    assert record["status"] == "failed"
    assert record["failure"]["kind"] == "error"
    hole = next(hole for hole in read_experiment(folder / "half").holes if hole.stage == "alone")
    assert "the accelerator is gone" in hole.reason


class Instant:
    """Workers that say what they are told to say, without training."""

    size = 2

    def __init__(self, say):
        self.say, self.asked = say, []

    def submit(self, work, context, job):
        self.asked.append(job.stage)
        future = Future()
        outcome = self.say(context, job, self.asked.count(job.stage))
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
        return future

    def wait(self, futures, timeout=None):
        return list(futures)


def queue(folder, listener):
    study = load_study(write(folder, vary={}), name="tiny")
    planned = plan_study(study, places(folder), listener)
    (folder / "evaluation.json").write_text("{}")
    return Queue(planned.tasks, planned.complete, planned.config, {}, listener)


def test_a_run_whose_process_dies_is_begun_again_but_not_for_ever(tmp_path):
    told = Told()

    def say(context, job, time):
        if job.stage == "wide" and time < 3:
            return WorkerDiedError("its process died (SIGKILL; is memory short?)")
        return Outcome("trained", {}, tmp_path)

    workers = Instant(say)
    schedule = queue(tmp_path, told)
    schedule.carry_out(workers)
    assert workers.asked.count("wide") == 3
    assert told.those("trained") == [("all", "alone", 0), ("all", "wide", 0), ("all", "student", 0)]

    told = Told()
    schedule = queue(tmp_path, told)
    schedule.carry_out(Instant(lambda *_: WorkerDiedError("it died")))
    assert sorted(told.those("failed: it died")) == [("all", "alone", 0), ("all", "wide", 0)]


def test_what_another_process_trains_is_left_for_later_and_other_work_done(tmp_path, monkeypatch):
    monkeypatch.setattr("tutelage.execution.queue._LOOK", 0.05)
    told = Told()
    schedule = queue(tmp_path, told)
    wide = next(task for task in schedule.tasks if task.spec.stage == "wide")
    locks = schedule.config.cache / "locks"
    locks.mkdir(parents=True)
    held = FileLock(locks / wide.spec.fingerprint)
    held.acquire()

    def say(context, job, time):
        if job.stage == "alone":
            held.release()  # the other process is done
        return Outcome("found" if job.stage == "wide" else "trained", {}, tmp_path)

    workers = Instant(say)
    schedule.carry_out(workers)
    assert workers.asked == ["alone", "wide", "student"]

    # Somebody takes the lock between our look and our start.
    def late(context, job, time):
        if job.stage == "wide" and time == 1:
            return Outcome("trained by another process", elsewhere=True)
        return Outcome("trained", {}, tmp_path)

    workers = Instant(late)
    queue(tmp_path, Told()).carry_out(workers)
    assert sorted(workers.asked) == ["alone", "student", "wide", "wide"]


def test_a_held_lock_means_no_work(tmp_path):
    schedule = queue(tmp_path, Told())
    task = schedule.tasks[0]
    lock = schedule.config.cache / "locks" / task.spec.fingerprint
    lock.parent.mkdir(parents=True)
    kept = DataCache(None, schedule.config.cache)
    with FileLock(lock):
        assert claim.is_claimed(schedule.config.cache, task.spec)
        outcome = run_outcome(schedule._context(task), task.spec, kept, Told())
    assert outcome.elsewhere
    assert not claim.is_claimed(schedule.config.cache, task.spec)
    assert not (task.folder / task.spec.folder).exists()


def test_what_failed_elsewhere_meanwhile_is_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("tutelage.execution.queue._LOOK", 0.05)
    told = Told()
    schedule = queue(tmp_path, told)
    wide = next(task for task in schedule.tasks if task.spec.stage == "wide")
    lock = schedule.config.cache / "locks" / wide.spec.fingerprint
    lock.parent.mkdir(parents=True)
    held = FileLock(lock)
    held.acquire()

    def say(context, job, number):
        folder = wide.folder / wide.spec.folder
        folder.mkdir(parents=True)
        record = {
            "stage": "wide", "fold": "0", "seed": 0, "fingerprint": wide.spec.fingerprint,
            "data": {"name": "d", "fingerprint": "f", "synthetic": True, "modality": "signal", "n_train": 1,
                     "n_validation": 1, "n_test": 1, "class_names": ["a"]},
            "network": {"type": "WideResNet", "input": "signal", "parameters": 1},
            "status": "failed", "finished": "2999-01-01T00:00:00+00:00",
            "failure": {"kind": "error", "message": "burst"},
        }  # fmt: skip
        (folder / "run.json").write_text(json.dumps(record))
        held.release()
        return Outcome("trained", {}, tmp_path)

    workers = Instant(say)
    schedule.carry_out(workers)
    assert workers.asked == ["alone"]
    assert told.those("failed: burst") == [("all", "wide", 0)]


def test_data_are_read_once_for_recipes_that_describe_them_alike(tmp_path):
    other = {"data.noise": 0.1}
    study = load_study(write(tmp_path, vary={"share": {"half": {}, "most": {}, "calm": other}}))
    kept = DataCache(tmp_path, tmp_path)
    half, most, calm = (kept.fold(DataSpec.of(cell.recipe), 0) for cell in study.cells)
    assert half is most
    assert calm is not half
    assert len(kept.datasets) == 2
    blind = replace(DataSpec.of(study.cells[0].recipe), protocol="blind")
    assert kept.fold(blind, 0) is not half
    assert half.dataset is kept.fold(blind, 0).dataset


def slow(seconds, kept, listener):
    time.sleep(seconds)
    return os.getpid()


def die(kept, listener):
    os.kill(os.getpid(), signal.SIGKILL)


def complain(kept, listener):
    raise UserError("a sentence")


def tell(kept, listener):
    listener.progress("half", 0.5)
    return "told"


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    told = []

    class Listening(Told):
        def progress(self, what, fraction):
            told.append((what, fraction))

    made = Pool(2, 1, None, tmp_path_factory.mktemp("pool"), Listening())
    made.told = told
    yield made
    made.close()


def finish(pool, *futures):
    while not all(future.done() for future in futures):
        pool.wait([future for future in futures if not future.done()])


def test_a_process_that_dies_takes_only_its_own_work_with_it(pool):
    bad, good = pool.submit(die), pool.submit(slow, 0.3)
    finish(pool, bad, good)
    with pytest.raises(WorkerDiedError, match="SIGKILL"):
        bad.result()
    assert good.result() != os.getpid()
    assert pool.wait([pool.submit(slow, 0.3)], timeout=0.05) == []


def test_errors_and_progress_come_home(pool):
    told, wrong = pool.submit(tell), None
    finish(pool, told)
    assert told.result() == "told"
    assert pool.told == [("half", 0.5)]
    wrong = pool.submit(complain)
    finish(pool, wrong)
    with pytest.raises(UserError, match="a sentence"):
        wrong.result()


def test_a_plan_alone_writes_no_experiment(tmp_path):
    study = load_study(write(tmp_path), name="tiny")
    planned = plan_study(study, places(tmp_path), Told())
    assert len(planned.tasks) == 6
    assert [(task.cell, task.spec.stage) for task in planned.missing] == [
        ("half", "wide"), ("half", "alone"), ("half", "student"), ("most", "student"),
    ]  # fmt: skip
    assert not list(tmp_path.rglob("experiment.json"))
    one = make_plan({"it": study.cells[0].recipe}, places(tmp_path), Told())
    assert one.experiments[0].folder == Path(tmp_path, "runs", "it")
    assert replace(one.tasks[0].spec) == planned.tasks[0].spec
    run_study(study, planned, Told())
    assert len(list(tmp_path.rglob("experiment.json"))) == 2

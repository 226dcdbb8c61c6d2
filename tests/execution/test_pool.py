"""Worker processes that hang, or whose parent is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.execution.tiny import Told, places
from tests.execution.tiny import write as write_study
from tutelage.execution import pool as pools
from tutelage.execution.claim import run_outcome
from tutelage.execution.pool import Pool, WorkerDiedError
from tutelage.study.file import load_study
from tutelage.study.run import plan_study, run_study


def freeze(kept, listener):
    os.kill(os.getpid(), signal.SIGSTOP)


def name(kept, listener):
    return os.getpid()


def test_a_worker_that_hangs_is_ended_and_its_work_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "SILENCE", 2.0)
    monkeypatch.setattr(pools, "BEAT", 0.2)  # of looks; the worker's own beats come every 5 s
    workers = Pool(1, 1, None, tmp_path, Told())
    try:
        hanging = workers.submit(freeze)
        stuck = next(iter(workers._busy.values())).process.pid
        while not hanging.done():
            workers.wait([hanging])
        with pytest.raises(WorkerDiedError, match="no sign of life for 2 s"):
            hanging.result()
        assert not psutil.pid_exists(stuck)
        monkeypatch.setattr(pools, "SILENCE", 120.0)
        again = workers.submit(name)
        while not again.done():
            workers.wait([again])
        assert again.result() != stuck
    finally:
        workers.close()


def frozen_once(context, job, kept, listener):
    mark = context.folder / "frozen"
    if job.stage == "alone" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return run_outcome(context, job, kept, listener)


def test_the_run_of_a_hanging_worker_is_begun_again_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr("tutelage.execution.queue.run_outcome", frozen_once)
    monkeypatch.setattr(pools, "SILENCE", 12.0)
    told = Told()
    study = load_study(write_study(tmp_path), name="tiny")
    run_study(study, plan_study(study, places(tmp_path, 2), told), told)
    assert [end[1] for end in told.those("again: its process gave no sign of life")] == ["alone"]
    assert ("half", "alone", 0) in told.those("trained")
    assert not told.those("failed")


PARENT = """
import sys, time
from pathlib import Path
from tests.execution.tiny import Told
from tests.execution.test_pool import name
from tutelage.execution.pool import Pool
if __name__ == "__main__":
    pool = Pool(1, 1, None, Path(sys.argv[1]), Told())
    pool.submit(name)
    print(next(iter(pool._busy.values())).process.pid, flush=True)
    time.sleep(600)
"""


def test_a_worker_ends_with_its_parent_even_while_it_starts(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.05)


def test_a_worker_watches_over_its_parent_before_it_imports_anything_heavy():
    code = (
        "import sys, tutelage.execution.worker; "
        "print([m for m in ('torch', 'numpy', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def waiting(kept, listener):
    return os.environ["OMP_WAIT_POLICY"], os.environ["KMP_BLOCKTIME"]


def test_threads_of_workers_do_not_spin(tmp_path):
    workers = Pool(1, 1, None, tmp_path, Told())
    try:
        future = workers.submit(waiting)
        while not future.done():
            workers.wait([future])
        assert future.result() == ("PASSIVE", "0")
    finally:
        workers.close()

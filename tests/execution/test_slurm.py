"""Work as jobs: real ones of submitit's local executor, and what Slurm is asked and answers."""

import os
import stat
import subprocess
import sys

import pytest

from tests.execution.local_jobs import answer, die, local_workers, wrong
from tutelage.errors import UserError
from tutelage.execution.engines import engine_of
from tutelage.execution.listener import Quiet
from tutelage.execution.pool import WorkerDiedError
from tutelage.execution.slurm_engine import exchange, slurm_engine
from tutelage.execution.slurm_job import SlurmWork
from tutelage.execution.slurm_options import read_options
from tutelage.execution.workers import RunConfig

pytest.importorskip("submitit", reason="needs submitit: pip install 'tutelage[slurm]'")


class Thinking(Quiet):
    def __init__(self):
        self.told = []

    def progress(self, what, fraction):
        self.told.append((what, fraction))


def test_results_words_errors_and_deaths_come_home(tmp_path):
    listener = Thinking()
    workers = local_workers(RunConfig(tmp_path, tmp_path, "cpu"), 3, listener)
    futures = [workers.submit(answer, 21), workers.submit(wrong), workers.submit(die)]
    while not all(future.done() for future in futures):
        workers.wait([future for future in futures if not future.done()])
    assert futures[0].result() == 42 and listener.told == [("thinking", 0.5)]
    with pytest.raises(UserError, match=r"^nothing fits$"):
        futures[1].result()
    with pytest.raises(WorkerDiedError, match=r"died \(unknown to Slurm; log: .*_log.err\)"):
        futures[2].result()
    workers.close()


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Put commands of a Slurm that runs nothing before others; return the folder where they note what they got."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    commands = {
        "sbatch": 'cp "$1" SLURM/script; [ -e SLURM/refuse ] && { echo "no such partition" >&2; exit 1; }\n'
        "echo Submitted batch job 7",
        "squeue": "cat SLURM/queue || exit 1",
        "scancel": 'echo "$@" >> SLURM/cancelled',
        "srun": "exit 1",
    }
    for name, text in commands.items():
        path = folder / name
        path.write_text("#!/bin/sh\n" + text.replace("SLURM", str(folder)) + "\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr("tutelage.execution.slurm_engine._LOOK", 0.05)
    return folder


def run_task(folder, number):
    """Do what a task of array 7 does."""
    task = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(number)}
    subprocess.run(
        [sys.executable, "-m", "submitit.core._submit", str(folder)],
        env=os.environ | task | {"SUBMITIT_EXECUTOR": "slurm"}, check=True,
    )  # fmt: skip


def test_an_array_is_submitted_watched_and_cancelled(tmp_path, slurm):
    options = read_options(
        ["partition=gpu", "time=1-02:00:30", "mem=8G", "cpus-per-task=2", "exclusive"]
    )
    config = RunConfig(tmp_path / "runs", tmp_path, "cpu", 8)
    engine = slurm_engine(options)
    with engine(config, 4, None, Quiet()) as workers:
        assert workers.size == 4
        futures = [workers.submit(answer, number) for number in range(4)]
        assert workers.wait(futures, 0.2) == []  # squeue does not answer: nothing is known
        script = (slurm / "script").read_text().splitlines()
        asked = {line.removeprefix("#SBATCH --") for line in script if line.startswith("#SBATCH")}
        assert asked >= {
            "array=0-3%4", "partition=gpu", "time=1561", "mem=8G", "cpus-per-task=2", "exclusive",
            "requeue", "ntasks=1", "signal=USR2@90", "open-mode=append", "job-name=tutelage",
        }  # fmt: skip
        assert not any(option.startswith("wckey") for option in asked)
        (call,) = [line for line in script if line.startswith("srun")]
        assert "--cpus-per-task=2" in call and str(workers.folder) in call
        run_task(workers.folder, 1)
        (slurm / "queue").write_text("7_0 OUT_OF_MEMORY\n7_1 COMPLETED\n7_2 PENDING\n6 RUNNING\n")
        while not all(futures[number].done() for number in (0, 1, 3)):
            workers.wait([futures[number] for number in (0, 3) if not futures[number].done()], 1)
        assert futures[1].result() == 2
        with pytest.raises(WorkerDiedError, match=r"7_0 died \(OUT_OF_MEMORY"):
            futures[0].result()
        with pytest.raises(WorkerDiedError, match=r"7_3 died \(unknown to Slurm"):
            futures[3].result()
        assert not futures[2].done()
    assert (slurm / "cancelled").read_text() == "7_2\n"
    assert not list((config.cache / "slurm").glob("*/*.pkl"))


def test_what_sbatch_refuses_is_said_once(tmp_path, slurm, capsys):
    (slurm / "refuse").touch()
    with (
        pytest.raises(UserError, match=r"sbatch refused the jobs: no such partition$"),
        slurm_engine(read_options([]))(RunConfig(tmp_path), 1, None, Quiet()) as workers,
    ):
        workers.wait([workers.submit(answer, 1)])
    assert capsys.readouterr().err == ""
    assert list((tmp_path / ".cache" / "slurm").iterdir()) == []


def test_pickles_lie_in_a_folder_of_their_owner_alone(tmp_path):
    folder = exchange(tmp_path / "runs" / ".cache")
    assert folder.parent == tmp_path / "runs" / ".cache" / "slurm"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.stat().st_uid == os.getuid()
    (tmp_path / "runs").chmod(0o777)
    with pytest.raises(UserError, match=r"run: chmod o-w .*/runs$"):
        exchange(tmp_path / "runs" / ".cache")
    (tmp_path / "runs").chmod(0o1777)  # as /tmp: nobody can replace what is another's
    assert exchange(tmp_path / "runs" / ".cache") != folder


def test_work_that_comes_no_further_ends(tmp_path):
    work = SlurmWork(answer, (1,), None, tmp_path, 1, tmp_path / "said")
    work = work.checkpoint().function.checkpoint().function  # two interruptions without an epoch
    with pytest.raises(UserError, match="interrupted 3 times before an epoch was done"):
        work.checkpoint()
    work._say(("epoch", (None, {"epoch": 5}, 9)))
    work = work.checkpoint().function
    assert work.given[0] is answer and work.checkpoint().function.given == work.given


@pytest.mark.parametrize(
    ("time", "minutes"),
    [("90", 90), ("7:30", 8), ("01:30:00", 90), ("2-00", 2880), ("1-1:30", 1530), ("0-0:05:00", 5)],
)  # fmt: skip
def test_times_are_those_of_slurm(time, minutes):
    assert read_options([f"time={time}"]).parameters["time"] == minutes


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("time=tomorrow", r"time: found 'tomorrow'; allowed: minutes, H:MM:SS or D-HH:MM:SS"),
        ("time=2", "allowed: 5 minutes or more"),
        ("array=0-3", "--sbatch array: Tutelage sets it itself"),
        ("cpus-per-task=many", "cpus-per-task: found 'many'; allowed: 1 or more"),
        ("partition=", "allowed: an option of sbatch"),
        ("--mem=3", "allowed: an option of sbatch"),
        ("comment=a\nrm -r x", "allowed: an option of sbatch"),
    ],
)
def test_options_that_cannot_be_are_refused(given, sentence):
    with pytest.raises(UserError, match=sentence):
        read_options([given])


def test_what_is_missing_is_said_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="found no sbatch, srun and squeue here"):
        engine_of("slurm", None, Quiet())
    with pytest.raises(UserError, match="--sbatch: found with --engine local"):
        engine_of("local", None, Quiet(), ["mem=3G"])
    with pytest.raises(UserError, match="did you mean 'slurm'"):
        engine_of("slrum", None, Quiet())
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"needs submitit: pip install 'tutelage\[slurm\]'"):
        engine_of("slurm", None, Quiet())

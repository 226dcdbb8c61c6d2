"""Real processes: killed in the middle, and two at once on one study."""

import json
import os
import re
import signal
import subprocess
import sys
import time

from tests.execution.tiny import write
from tutelage.study.status import status_of


def command(folder, jobs):
    return [
        sys.executable, "-m", "tutelage.cli.root", "study", "run", str(folder / "study.yaml"),
        "--runs", str(folder / "runs"), "--name", "it", "--device", "cpu", "--jobs", str(jobs),
        "--way", "processes",
    ]  # fmt: skip


def start(folder, jobs):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return subprocess.Popen(
        command(folder, jobs), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment,
    )  # fmt: skip


def records(folder):
    found = [json.loads(p.read_text()) for p in folder.glob("runs/it/*/*/*/*/run.json")]
    return {(r["stage"], r["seed"], r["fingerprint"]): r for r in found}


def test_a_study_killed_in_the_middle_loses_nothing_that_was_done(tmp_path):
    """Two processes at work, all killed; the next command trains only what is missing and touches nothing else."""
    write(tmp_path, set={"seeds": [0, 1, 2], "train.epochs": 3})
    process = start(tmp_path, 2)
    deadline = time.monotonic() + 300
    while sum(r["status"] == "complete" for r in records(tmp_path).values()) < 3:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {
        key: r["finished"] for key, r in records(tmp_path).items() if r["status"] == "complete"
    }
    found = status_of(tmp_path / "runs" / "it")
    assert sum(found.counts.values()) == 10
    assert found.counts["done"] == len(before) < 10
    assert not found.counts.get("failed")  # a run whose command is gone has not failed
    again = start(tmp_path, 1)
    text, _ = again.communicate(timeout=300)
    assert again.returncode == 0, text
    after = records(tmp_path)
    assert len(after) == 10
    assert {key: after[key]["finished"] for key in before} == before
    assert len(re.findall(": trained", text)) == 10 - len(before)
    assert status_of(tmp_path / "runs" / "it").counts == {"done": 10}


def test_two_commands_share_the_work_of_one_study(tmp_path):
    write(tmp_path, set={"seeds": [0, 1, 2], "train.epochs": 3})
    both = [start(tmp_path, 1), start(tmp_path, 1)]
    texts = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    trained = [re.findall(": trained: ", text) for text in texts]
    assert sum(map(len, trained)) == 10  # nothing twice
    assert all(trained), "one of them did everything"
    assert all("14 of 14 runs are complete" in text for text in texts)
    found = records(tmp_path)
    assert len(found) == 10
    assert {record["status"] for record in found.values()} == {"complete"}

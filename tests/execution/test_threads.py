"""A run's numbers do not depend on how many threads the process around it happens to have set."""

import json

import pytest
import torch

from tests.training.small import recipe
from tests.training.test_runs import execute, read, runs_of
from tutelage.execution import claim, threads


@pytest.fixture
def restored():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def small(content):
    content["stages"] = {"sig": {}}
    content["modalities"], content["baseline"] = {}, None


def test_threads_set_by_somebody_else_change_nothing(tmp_path, restored, monkeypatch):
    """As numba sets them: whoever runs one of its parallel loops gets all cores, also in torch."""
    monkeypatch.setattr(threads, "cores", lambda: 2)
    logs = {}
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        folder = execute(tmp_path / str(count), recipe(small))
        assert torch.get_num_threads() == count  # the caller's own setting is left as it was
        path = runs_of(folder)["sig", 0]
        logs[count] = (path / "metrics.jsonl").read_bytes()
        assert read(path / "run.json")["environment"]["threads"] == threads.threads_of(1)
    assert logs[1] == logs[2] == logs[3]


def test_a_run_goes_on_with_the_threads_it_began_with(tmp_path, restored, monkeypatch):
    folder = execute(tmp_path, recipe(small))
    path = runs_of(folder)["sig", 0]
    record = read(path / "run.json")
    record |= {"status": "running"}
    record["environment"]["threads"] = 2
    (path / "run.json").write_text(json.dumps(record))
    seen = []
    real = claim.train_one
    monkeypatch.setattr(
        claim, "train_one", lambda *a: seen.append(torch.get_num_threads()) or real(*a)
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    execute(tmp_path, recipe(small))
    assert seen == [2]


@pytest.mark.parametrize(
    ("jobs", "told", "expected"),
    [(1, "", 4), (2, "", 2), (3, "", 1), (8, "", 1), (1, "3", 3), (2, "3", 2), (1, "9", 4)],
)
def test_cores_are_shared_out(monkeypatch, jobs, told, expected):
    monkeypatch.setattr(threads, "cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert threads.threads_of(jobs) == expected

"""A run that lost a file is told of, and run again to the very same numbers."""

import json
import shutil
from dataclasses import replace

import pytest

from tests.training.small import recipe
from tests.training.test_runs import Outcomes, execute, read, runs_of
from tutelage.errors import UserError
from tutelage.runs.folder import known_record, lost_files, read_record, write_record
from tutelage.runs.ledger import read_experiment
from tutelage.runs.records import RUN_KEYS
from tutelage.runs.writer import read_state

EPOCHS = 3


def tiny(content):
    content["stages"] = {"alone": {}}
    content["distiller"] = {}
    content["modalities"] = {}
    content["train"]["epochs"] = EPOCHS


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("finished")
    execute(tmp_path, recipe(tiny))
    return tmp_path


@pytest.fixture
def home(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "home")


def the_run(home):
    return runs_of(home / "runs" / "it")["alone", 0]


def again(home):
    """Carry the recipe out once more; return what became of the run."""
    told = Outcomes()
    execute(home, recipe(tiny), listener=told)
    return told.of["alone"]


def logged(path):
    return [json.loads(line)["epoch"] for line in (path / "metrics.jsonl").read_text().splitlines()]


def stopped(path):
    """Let a run look as if it had been interrupted after its last epoch."""
    record = read_record(path)
    write_record(path, replace(record, status="running", finished=None, selected=None))


def test_what_is_there_is_found(home):
    assert again(home) == "found"
    assert lost_files(the_run(home), read_record(the_run(home))) == ()


def test_a_record_has_every_key_of_its_class(home):
    assert set(read(the_run(home) / "run.json")) == RUN_KEYS


@pytest.mark.parametrize("content", [None, "", "{", "null", '{"schema": 1}'])
@pytest.mark.parametrize("file", ["run.json", "evaluation.json"])
def test_a_run_without_a_readable_record_is_run_again(home, finished, file, content):
    path = the_run(home) / file
    path.unlink() if content is None else path.write_text(content)
    assert again(home) == "trained"
    for name in ("metrics.jsonl", "evaluation.json"):
        assert (the_run(home) / name).read_bytes() == (the_run(finished) / name).read_bytes()
    assert not read_experiment(home / "runs" / "it").holes


@pytest.mark.parametrize("size", [None, 0])
def test_a_run_without_its_network_is_trained_again(home, finished, size):
    path = the_run(home) / "best.safetensors"
    path.unlink() if size is None else path.write_bytes(b"")
    (said,) = lost_files(path.parent, read_record(path.parent))
    assert said == f"best.safetensors is {'missing' if size is None else 'empty'}"
    assert again(home) == "trained"
    assert logged(path.parent) == list(range(EPOCHS))
    assert path.read_bytes() == (the_run(finished) / "best.safetensors").read_bytes()


@pytest.mark.parametrize("keep", [None, 0, 1, 2])
def test_a_run_that_lost_its_log_does_not_go_on_without_it(home, finished, keep):
    path = the_run(home)
    stopped(path)
    log = path / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.unlink() if keep is None else log.write_text("".join(lines[:keep]))
    assert read_state(path).epoch == 0
    assert again(home) == "trained"
    assert log.read_bytes() == (the_run(finished) / "metrics.jsonl").read_bytes()


def test_a_doubled_log_is_not_gone_on_with(home, finished):
    path = the_run(home)
    log = path / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:1] + lines))
    (said,) = lost_files(path, read_record(path))
    assert "4 lines for 3 epochs" in said
    stopped(path)
    assert again(home) == "trained"
    assert log.read_bytes() == (the_run(finished) / "metrics.jsonl").read_bytes()


def test_a_line_after_the_checkpoint_is_cut(home):
    path = the_run(home)
    stopped(path)
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "st')  # it was killed while writing
    assert read_state(path).epoch == EPOCHS
    assert again(home) == "trained"
    assert logged(path) == list(range(EPOCHS))


@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_cut_checkpoint_is_no_checkpoint(home, finished, part):
    path = the_run(home)
    stopped(path)
    last = path / "last.safetensors"
    last.write_bytes(last.read_bytes()[: int(part * last.stat().st_size)])
    assert read_state(path).epoch == 0
    assert again(home) == "trained"
    assert (path / "evaluation.json").read_bytes() == (
        the_run(finished) / "evaluation.json"
    ).read_bytes()


def test_lost_epochs_are_told(home):
    path = the_run(home)
    log = path / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text(lines[0] + lines[2])
    assert lost_files(path, read_record(path)) == (
        "metrics.jsonl has 2 of 3 epochs (epoch 2 is missing)",
    )
    log.unlink()
    (said,) = lost_files(path, read_record(path))
    assert said == "metrics.jsonl has 0 of 3 epochs (epoch 1 is missing)"


def test_a_wrong_record_says_file_and_field(home):
    path = the_run(home) / "run.json"
    path.write_text(json.dumps(read(path) | {"seed": "zero"}))
    with pytest.raises(UserError, match=r"run\.json: seed: .*integer.*'zero'"):
        read_record(path.parent)
    assert known_record(path.parent) is None

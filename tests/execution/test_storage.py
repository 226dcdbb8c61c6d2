"""Disks that are full, folders that cannot be written, what killed commands leave behind."""

import errno
import os
import stat
import time

import pytest
from typer.testing import CliRunner

from tests.execution.tiny import Told, carried_out
from tests.recipe.test_mistakes import put
from tests.training.small import recipe, write
from tests.training.test_runs import Outcomes, execute, read, runs_of
from tutelage import checkpoint
from tutelage.cli.root import app
from tutelage.errors import UserError
from tutelage.execution import storage, workers
from tutelage.execution.listener import Quiet
from tutelage.execution.run import make_plan
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe, parse
from tutelage.study.status import status_of


def small(content):
    content["stages"] = {"sig": {}, "late": {"network": {"width": 2}}}
    content["modalities"], content["baseline"] = {}, None
    content["train"]["epochs"] = 1


def tutelage(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "300"})
    return result.exit_code, result.output.replace("\n", " ")


def test_a_full_disk_stops_one_run_which_goes_on_when_there_is_room(tmp_path, monkeypatch):
    real = checkpoint.write

    def full(path, tree):
        if "late" in str(path):
            (path.parent / ".tmpAbC123").write_bytes(b"half")  # what safetensors leaves
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, tree)

    monkeypatch.setattr(checkpoint, "write", full)
    outcomes = Outcomes()
    folder = execute(tmp_path, recipe(small), listener=outcomes)
    assert outcomes.of["sig"] == "trained"
    assert outcomes.of["late"].startswith("stopped: ")
    assert outcomes.of["late"].endswith("the disk is full; free some room")
    path = runs_of(folder)["late", 0]
    assert read(path / "run.json")["status"] == "running"  # and no lock: stopped, not failed
    assert (path / ".tmpAbC123").exists()
    monkeypatch.undo()
    again = Outcomes()
    execute(tmp_path, recipe(small), listener=again)
    assert again.of == {"sig": "found", "late": "trained"}
    assert not list(path.glob(".*"))


def test_a_study_says_stopped_and_leads_with_what_is_missing(tmp_path, monkeypatch):
    real = checkpoint.write

    def full(path, tree):
        if "alone" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if "wide" in str(path):
            raise RuntimeError("burst")
        real(path, tree)

    monkeypatch.setattr(checkpoint, "write", full)
    folder, told = carried_out(tmp_path)
    assert told.those("failed: it needs wide, which failed")
    status = status_of(folder)
    assert status.counts == {"stopped": 1, "failed": 1, "missing": 2}
    lead = (
        "4 of 4 runs are missing (1 stopped, 1 failed, 2 not begun); the same `tutelage study run`"
    )
    code, said = tutelage("study", "status", folder)
    assert code == 0
    assert said.startswith(lead)
    monkeypatch.undo()
    carried_out(tmp_path)
    assert status_of(folder).missing == ""


def test_a_disk_too_full_to_say_that_a_run_failed(tmp_path, monkeypatch):
    real = checkpoint.write_json

    def full(path, content):
        if content.get("status") == "failed":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, content)

    monkeypatch.setattr(checkpoint, "write_json", full)
    monkeypatch.setattr("tutelage.execution.claim.train_one", lambda *_: 1 / 0)
    outcomes = Outcomes()
    execute(tmp_path, recipe(small), listener=outcomes)
    assert set(outcomes.of.values()) == {"failed: ZeroDivisionError: division by zero"}


def test_locks_that_the_file_system_does_not_have(tmp_path, monkeypatch):
    import fcntl

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    path = write(tmp_path, small)
    monkeypatch.setattr(fcntl, "flock", refuse)
    code, said = tutelage("run", path, "--runs", tmp_path / "runs", "--device", "cpu", "--jobs", 1)
    assert code == 2, said
    assert (
        "error: this file system has no locks; name a folder on one that has, with --runs" in said
    )


@pytest.mark.parametrize("kind", ["file", "below a file", "loop", "locked"])
def test_a_folder_that_cannot_keep_runs_is_refused_before_anything_is_prepared(
    tmp_path, monkeypatch, kind
):
    runs = tmp_path / "runs"
    if kind == "file":
        runs.write_text("")
        sentence = f"error: --runs {runs}: {runs} is a file; allowed: a folder"
    elif kind == "below a file":
        (tmp_path / "notes").write_text("")
        runs = tmp_path / "notes" / "runs"
        sentence = f"error: --runs {runs}: {tmp_path / 'notes'} is a file; allowed: a folder"
    elif kind == "loop":
        runs.symlink_to(tmp_path / "other")
        (tmp_path / "other").symlink_to(runs)
        sentence = f"error: --runs {runs}: found a link that leads nowhere; allowed: a folder"
    else:
        monkeypatch.setattr(storage.os, "access", lambda _, mode: not mode & os.W_OK)
        sentence = (
            f"error: --runs {runs}: {tmp_path} may not be written; allowed: a folder of yours"
        )
    code, said = tutelage("run", write(tmp_path, small), "--runs", runs, "--device", "cpu")
    assert (code, sentence in said) == (2, True), said
    assert "Traceback" not in said


def test_a_name_longer_than_the_file_system_allows_is_one_sentence(tmp_path):
    long = tmp_path / ("x" * 300)
    code, said = tutelage("run", write(tmp_path, small), "--runs", long, "--device", "cpu")
    assert (code, "this name is longer than the file system allows" in said) == (2, True), said


def test_a_full_disk_while_the_report_is_written_is_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "report/index.html")

    monkeypatch.setattr("tutelage.report.write_report", full)
    code, said = tutelage("report", tmp_path)
    assert (code, said) == (2, "error: report/index.html: the disk is full; free some room ")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"accelerator": "cuda"}, "--device cuda: found no GPU that PyTorch can use"),
        ({"accelerator": "foo"}, "--device: unknown device 'foo'"),
        ({"jobs": -3}, "--jobs: found -3; allowed: 0 or more"),
        ({"devices": 0}, "--devices: found 0; allowed: 1 or more"),
    ],
)
def test_what_this_machine_does_not_have_is_refused_at_once(monkeypatch, given, sentence):
    monkeypatch.setattr(workers.torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=sentence):
        RunConfig(**given)


def test_what_killed_commands_left_is_cleared_but_not_what_others_write(tmp_path):
    cache, folder = tmp_path / "runs" / ".cache", tmp_path / "runs" / "it"
    old, young = time.time() - 7200, time.time()
    for where in (cache / "teachers" / "a", folder):
        where.mkdir(parents=True)
        for name, age in (
            (".unfinished-0123.npy", old), (".unfinished-4567.npy", young), ("logits.part", old),
            ("experiment.json.77.part", old), (".tmpXy12Zw", old), ("logits.npy", old),
        ):  # fmt: skip
            (where / name).write_text("")
            os.utime(where / name, (age, age))
    (folder / ".unfinished-folder").mkdir()
    (folder / ".unfinished-folder" / "x").write_text("")
    os.utime(folder / ".unfinished-folder", (old, old))
    storage.clear_leftovers(cache, [folder])
    for where in (cache / "teachers" / "a", folder):
        assert sorted(p.name for p in where.iterdir()) == [".unfinished-4567.npy", "logits.npy"]


def test_an_edited_recipe_has_a_folder_of_its_own(tmp_path):
    common = ("--runs", tmp_path / "runs", "--device", "cpu", "--jobs", 1)
    path = write(tmp_path, small)
    usual = tmp_path / "runs" / f"{tmp_path.name}-recipe"
    assert tutelage("run", path, *common)[0] == 0
    before = (usual / "experiment.json").read_bytes()
    page = (usual / "report" / "index.html").read_bytes()

    def edited(content):
        small(content)
        put("train.learning_rate", 0.01)(content)

    write(tmp_path, edited)
    code, said = tutelage("run", path, *common)
    assert code == 0, said
    assert f"{usual} keeps the recipe as it was; this one has {usual}-" in said
    assert (usual / "experiment.json").read_bytes() == before
    assert (usual / "report" / "index.html").read_bytes() == page
    assert tutelage("run", path, *common)[0] == 0  # the edited one again: the same folder
    assert len([p for p in (tmp_path / "runs").iterdir() if p.name[0] != "."]) == 2
    write(tmp_path, small)
    code, said = tutelage("run", path, *common)
    assert (code, "keeps the recipe as it was" in said) == (0, False)


def test_files_of_a_run_have_the_permissions_that_the_user_asked_for(tmp_path):
    before = os.umask(0o027)
    try:
        path = runs_of(execute(tmp_path, recipe(small)))["sig", 0]
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.rglob("*") if p.is_file()}
    assert "best.safetensors" in modes
    assert set(modes.values()) == {0o640}, modes


class Shown(Quiet):
    def __init__(self):
        self.splits = []

    def end(self, job, outcome, evaluation):
        self.splits.append((outcome, sorted(evaluation)))


def test_a_blind_experiment_hears_nothing_of_the_test_even_of_honest_runs(tmp_path):
    shown = Shown()
    execute(tmp_path, recipe(small), "honest", listener=shown)
    assert shown.splits == [("trained", ["test", "validation"])] * 2
    shown.splits.clear()

    def blind(content):
        small(content)
        content["protocol"] = "blind"

    execute(tmp_path, recipe(blind), "blind", listener=shown)
    assert shown.splits == [("found", ["validation"])] * 2


def test_planning_writes_nothing(tmp_path):
    make_plan(
        {"it": parse(Recipe, recipe(small), "")},
        RunConfig(tmp_path / "runs", tmp_path, "cpu"),
        Told(),
    )
    assert not (tmp_path / "runs" / "it").exists()


def test_the_command_leads_with_runs_that_are_missing(tmp_path):
    def half(content):
        content["stages"] = {
            "dead": {"seed": 0, "train": {"learning_rate": 1e9}},
            "alone": {},
            "student": {"teachers": ["dead"]},
        }
        content["modalities"], content["baseline"] = {}, "alone"
        content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
        content["train"]["epochs"] = 1

    code, said = tutelage(
        "run", write(tmp_path, half), "--runs", tmp_path / "runs", "--device", "cpu", "--jobs", 1
    )
    assert code == 1
    warning = said.index("2 runs of 3 gave no number and are missing here")
    assert warning < said.index("The same command trains them.") < said.index("No student with")

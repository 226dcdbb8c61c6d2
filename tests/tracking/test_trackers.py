"""Each tracker is written to and read back with its own means; the truth is the run folder, read as plain JSON."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.report.fake import Fake, write
from tests.tracking.fakes import TrackioDouble, WandbDouble
from tutelage.cli.root import app
from tutelage.errors import UserError
from tutelage.tracking import track_runs
from tutelage.tracking.base import TrackedRun, Tracker
from tutelage.tracking.facts import flat

SMALL = {"folds": ("fold-1",), "seeds": (0,), "stages": ("sig", "alone", "base"), "epochs": 3}


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "runs" / "small", Fake(**SMALL))


def truth(folder):
    """Fingerprint -> record, lines of the log, evaluation."""
    found = {}
    for path in folder.rglob("run.json"):
        record = json.loads(path.read_text())
        lines = [json.loads(x) for x in (path.parent / "metrics.jsonl").read_text().splitlines()]
        tested = json.loads((path.parent / "evaluation.json").read_text())
        found[record["fingerprint"]] = record, lines, tested
    return found


class Shelf(Tracker):
    """A tracker in memory that is killed while it writes a given run."""

    def __init__(self, kill=None):
        self.runs, self.kill = {}, kill

    place = "shelf"

    def known(self):
        return set(self.runs)

    def write(self, run):
        if len(self.runs) == self.kill:
            raise KeyboardInterrupt
        assert run.key not in self.runs
        self.runs[run.key] = run


@pytest.fixture
def shelf(monkeypatch):
    made = Shelf()
    monkeypatch.setitem(sys.modules["tutelage.tracking.send"].TRACKERS, "mlflow", lambda *_: made)
    return made


def test_every_run_is_told_as_its_folder_has_it(folder, shelf):
    sent = track_runs(folder, "mlflow")
    assert (sent.written, sent.found, sent.skipped) == (3, 0, ())
    known = truth(folder)
    assert set(shelf.runs) == set(known)
    for key, (record, lines, tested) in known.items():
        run: TrackedRun = shelf.runs[key]
        assert list(run.curves) == [1, 2, 3]
        assert run.curves[2]["validation/accuracy"] == lines[1]["validation"]["accuracy"]
        assert run.curves[3]["train/loss"] == lines[2]["train"]["loss"]
        assert run.scores["final/test/macro_f1"] == tested["test"]["macro_f1"]
        assert run.tags["stage"] == record["stage"] and run.tags["fingerprint"] == key
        assert run.parameters["data.n_train"] == record["data"]["n_train"]
        assert run.name.endswith(key[:10]) and run.files == ()


def test_a_kill_and_a_second_call_double_nothing(folder, shelf):
    shelf.kill = 1
    with pytest.raises(KeyboardInterrupt):
        track_runs(folder, "mlflow")
    shelf.kill = None
    again = track_runs(folder, "mlflow")
    assert (again.written, again.found) == (2, 1)
    assert track_runs(folder, "mlflow").written == 0


def test_what_is_not_complete_is_said_and_taken_up_later(tmp_path, shelf):
    key = ("base", "fold-1", 0)
    folder = write(tmp_path / "small", Fake(**SMALL, running=(key,)))
    sent = track_runs(folder, "mlflow")
    assert sent.written == 2 and len(sent.skipped) == 1
    assert "base, fold fold-1, seed 0" in sent.skipped[0]
    shutil.rmtree(folder)
    write(folder, Fake(**SMALL))
    assert track_runs(folder, "mlflow").written == 1


def test_a_damaged_log_costs_its_run_alone(folder, shelf):
    log = next(folder.rglob("alone/*/metrics.jsonl"))
    log.write_text(log.read_text() + '{"epoch": ')
    sent = track_runs(folder, "mlflow")
    assert sent.written == 2 and "metrics.jsonl:4" in sent.skipped[0]


def test_a_folder_of_experiments_is_read_whole_and_a_shared_run_is_written_once(folder, shelf):
    write(folder.parent / "other", Fake(**SMALL, variant="!", shared=("sig",)))
    assert track_runs(folder.parent, "mlflow").written == 5


def test_a_run_without_its_test_split_is_another_run(folder, shelf):
    track_runs(folder, "mlflow")
    path = next(folder.rglob("run.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"blind": True}))
    track_runs(folder, "mlflow")
    assert sum(key.endswith("-blind") for key in shelf.runs) == 1


def test_settings_are_flattened():
    nested = {"a": {"b": {"c": 1}, "none": None}, "names": [{"x": 1}], "on": True}
    assert flat(nested) == {"a.b.c": 1, "names": '[{"x": 1}]', "on": True}


@pytest.mark.parametrize(
    ("to", "more", "sentence"),
    [
        ("mlfow", {}, "did you mean 'mlflow'"),
        ("wandb", {"uri": "https://api.wandb.ai"}, "written offline"),
        ("trackio", {"uri": "me/space"}, "TRACKIO_DIR"),
    ],
)
def test_mistakes_are_one_sentence(folder, to, more, sentence):
    with pytest.raises(UserError, match=sentence):
        track_runs(folder, to, **more)


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(UserError, match="no study here"):
        track_runs(tmp_path, "mlflow")


@pytest.mark.parametrize("name", ["mlflow", "wandb", "trackio"])
def test_a_missing_package_names_its_extra(folder, name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    for module in [m for m in sys.modules if m.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, module)
    done = CliRunner().invoke(app, ["track", str(folder), "--to", name])
    assert done.exit_code == 2 and f"tutelage[{name}]" in done.output


@pytest.mark.parametrize("name", ["TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"])
def test_trackio_is_not_let_send(folder, monkeypatch, name):
    monkeypatch.setenv(name, "me/space")
    with pytest.raises(UserError, match=f"{name} is set"):
        track_runs(folder, "trackio")


def test_runs_come_back_from_mlflow(folder, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    uri = f"sqlite:///{tmp_path / 'store.db'}"
    client = tracking.MlflowClient(uri)
    project = client.create_experiment("mine", artifact_location=(tmp_path / "kept").as_uri())
    command = ["track", str(folder), "--to", "mlflow", "--uri", uri, "--project", "mine", "--files"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and "3 written, 0 found, 0 skipped" in done.output, done.output

    known = truth(folder)
    runs = client.search_runs([project])
    assert sorted(run.data.tags["tutelage.run"] for run in runs) == sorted(known)
    for run in runs:
        record, lines, tested = known[run.data.tags["fingerprint"]]
        curve = client.get_metric_history(run.info.run_id, "validation/accuracy")
        read = [(point.step, point.value) for point in sorted(curve, key=lambda p: p.step)]
        assert read == [(x["epoch"] + 1, x["validation"]["accuracy"]) for x in lines]
        assert run.data.metrics["final/test/accuracy"] == tested["test"]["accuracy"]
        assert run.data.params["data.n_train"] == str(record["data"]["n_train"])
        assert run.info.status == "FINISHED" and run.data.tags["stage"] == record["stage"]
        kept = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"run.json", "metrics.jsonl", "evaluation.json"} <= kept

    client.set_terminated(runs[0].info.run_id, "RUNNING")  # as a kill leaves it
    assert track_runs(folder, "mlflow", "mine", uri).written == 1
    assert track_runs(folder, "mlflow", "mine", uri).found == 3
    ids = {run.info.run_id for run in client.search_runs([project])}
    assert len(ids) == 3 and runs[0].info.run_id not in ids


def test_what_mlflow_refuses_is_one_sentence(folder, tmp_path):
    pytest.importorskip("mlflow.tracking")
    with pytest.raises(UserError, match="MLflow at nowhere://x: "):
        track_runs(folder, "mlflow", uri="nowhere://x")


def records_of(path):
    """The records of a .wandb file: a log of LevelDB, in blocks of 32 KiB, behind 7 bytes of header."""
    content, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:  # the rest of a block is too short for a record
            at += 32768 - at % 32768
            continue
        size, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        whole += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # full, last
            yield whole
            whole = b""


def offline_runs(folder):
    """What W&B wrote: id -> its run, history, summary."""
    from wandb.proto import wandb_internal_pb2

    found = {}
    for path in folder.glob("wandb/offline-run-*/run-*.wandb"):
        run, rows, summary = None, [], {}
        for data in records_of(path):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.HasField("run"):
                run = record.run
            elif record.HasField("history"):
                items = record.history.item
                rows.append({
                    "/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items
                })  # fmt: skip
            elif record.HasField("summary"):
                summary |= {
                    "/".join(i.nested_key) or i.key: json.loads(i.value_json)
                    for i in record.summary.update
                }
        found[run.run_id] = run, rows, summary
    return found


def test_runs_come_back_from_what_wandb_wrote(folder, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "online")  # of no effect: nothing is sent
    at = tmp_path / "there"
    assert track_runs(folder, "wandb", "mine", str(at)).written == 3
    written, known = offline_runs(at), truth(folder)
    assert len(written) == 3
    for run, rows, summary in written.values():
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        record, lines, tested = known[config["tutelage"]["fingerprint"]]
        read = [(row["epoch"], row["validation/accuracy"]) for row in rows]
        assert read == [(x["epoch"] + 1, x["validation"]["accuracy"]) for x in lines]
        assert summary["final/test/accuracy"] == tested["test"]["accuracy"]
        assert config["data.n_train"] == record["data"]["n_train"] and run.project == "mine"

    next(at.glob("wandb/offline-run-*/tutelage-run")).unlink()  # as a kill leaves it
    assert track_runs(folder, "wandb", "mine", str(at)).written == 1
    assert track_runs(folder, "wandb", "mine", str(at)).found == 3
    assert set(offline_runs(at)) == set(written)
    assert len(list(at.glob("wandb/offline-run-*"))) == 3


TRACKIO = """
import json, sys
from pathlib import Path
import trackio
from trackio.sqlite_storage import SQLiteStorage
from tutelage.tracking import track_runs
folder = Path(sys.argv[1])
told = [track_runs(folder, "trackio", "mine").written]
def logs(run):
    return SQLiteStorage.get_logs("mine", run.name, run_id=run.id)
runs = [(run.name, run.config, logs(run)) for run in trackio.Api().runs("mine")]
trackio.Api().runs("mine")[0].rename("x (unfinished)")  # as a kill leaves it
told += [track_runs(folder, "trackio", "mine").written for _ in range(2)]
print(json.dumps([told, runs, [r.name for r in trackio.Api().runs("mine")]]))
"""


def test_runs_come_back_from_trackio(folder, tmp_path):
    pytest.importorskip("trackio")
    done = subprocess.run(
        [sys.executable, "-c", TRACKIO, str(folder)], capture_output=True, text=True, check=True,
        env={**os.environ, "TRACKIO_DIR": str(tmp_path / "there"), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    told, runs, names = json.loads(next(x for x in done.stdout.splitlines() if x.startswith("[[")))
    assert told == [3, 1, 0]
    known = truth(folder)
    for name, config, logs in runs:
        record, lines, tested = known[config["tutelage"]["run"]]
        curve = [(row["step"], row["validation/accuracy"]) for row in logs if "train/loss" in row]
        assert curve == [(x["epoch"] + 1, x["validation"]["accuracy"]) for x in lines]
        assert logs[-1]["final/test/accuracy"] == tested["test"]["accuracy"]
        assert config["data.n_train"] == record["data"]["n_train"]
        assert name.endswith(record["fingerprint"][:10])
    assert sorted(names) == sorted(name for name, _, _ in runs)
    assert Path(tmp_path / "there").is_dir()


def test_wandb_is_told_the_same_where_it_is_not_installed(folder, tmp_path, monkeypatch):
    double = WandbDouble()
    monkeypatch.setitem(sys.modules, "wandb", double)
    at = tmp_path / "there"
    assert track_runs(folder, "wandb", "mine", str(at), files=True).written == 3
    known = truth(folder)
    for run in double.runs:
        _, lines, tested = known[run.config["tutelage"]["fingerprint"]]
        read = [(step, row["train/loss"]) for step, row in run.rows]
        assert read == [(x["epoch"] + 1, x["train"]["loss"]) for x in lines]
        assert run.summary["final/test/accuracy"] == tested["test"]["accuracy"] and run.finished
        assert (Path(run.dir) / "evaluation.json").is_file()
    (Path(double.runs[0].dir).parent / "tutelage-run").unlink()  # as a kill leaves it
    assert track_runs(folder, "wandb", "mine", str(at)).written == 1
    assert double.runs[3].id == double.runs[0].id
    assert track_runs(folder, "wandb", "mine", str(at)).found == 3
    assert track_runs(folder, "wandb", "other", str(at)).written == 3


def test_trackio_is_told_the_same_where_it_is_not_installed(folder, monkeypatch):
    double = TrackioDouble()
    monkeypatch.setitem(sys.modules, "trackio", double)
    assert track_runs(folder, "trackio", "mine").written == 3
    known, first = truth(folder), double.runs("mine")
    for run in first:
        record, lines, tested = known[run.config["tutelage"]["run"]]
        read = [(step, row["train/loss"]) for step, row in run.rows[:-1]]
        assert read == [(x["epoch"] + 1, x["train"]["loss"]) for x in lines]
        assert run.rows[-1][1]["final/test/accuracy"] == tested["test"]["accuracy"]
        assert run.name.endswith(record["fingerprint"][:10])
    first[0].rename("x (unfinished)")  # as a kill leaves it
    assert track_runs(folder, "trackio", "mine").written == 1
    assert track_runs(folder, "trackio", "mine").found == 3
    assert first[0] not in double.runs("mine") and len(double.runs("mine")) == 3
    with pytest.raises(UserError, match="Trackio takes none"):
        track_runs(folder, "trackio", "new", files=True)

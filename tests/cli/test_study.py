import json

from typer.testing import CliRunner

from tests.execution.tiny import write
from tutelage.cli.root import app
from tutelage.execution import claim, costs, estimation


def tutelage(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})
    return result.exit_code, result.output.replace("\n", " ")


def test_plan_run_status(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "_TOGETHER", 0.0)
    monkeypatch.setattr(costs, "_LEAST", 0.0)
    path = write(tmp_path)
    common = ("--runs", tmp_path / "runs", "--device", "cpu", "--jobs", 1, "--name", "it")
    code, said = tutelage("study", "plan", path, *common)
    assert code == 0, said
    assert "it: 2 cells ask for 6 runs; 2 of these are shared, 0 are found, 4 are missing" in said
    assert "time: about" in said
    assert not (tmp_path / "runs" / "it").exists()

    monkeypatch.setattr(estimation, "_free_memory", lambda: 1)
    for command in ("plan", "run"):
        code, said = tutelage("study", command, path, *common)
        assert (code, "of memory" in said) == (2, True), said
    assert not (tmp_path / "runs" / "it").exists()
    monkeypatch.undo()

    real = claim.train_one

    def train(spec, *rest):
        if spec.stage == "alone":
            raise MemoryError("no room")
        return real(spec, *rest)

    monkeypatch.setattr(claim, "train_one", train)
    run = ("study", "run", path, *common, "--way", "processes")
    code, said = tutelage(*run)
    assert code == 1
    assert "4 of 6 runs are complete" in said
    assert "half: alone, fold-1-of-3, seed 0: failed: MemoryError: no room" in said
    monkeypatch.undo()
    code, said = tutelage(*run)
    assert (code, "6 of 6 runs are complete" in said) == (0, True), said
    code, said = tutelage("study", "status", tmp_path / "runs" / "it")
    assert (code, "nothing is left" in said) == (0, True), said
    code, said = tutelage("study", "plan", path, *common)
    assert (code, "4 are found, 0 are missing" in said) == (0, True), said
    code, said = tutelage("study", "status", tmp_path)
    assert (code, "there is no study.json" in said) == (2, True), said


def test_an_edited_study_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "_TOGETHER", 0.0)
    monkeypatch.setattr(costs, "_LEAST", 0.0)
    runs = tmp_path / "runs"
    common = ("--runs", runs, "--device", "cpu", "--jobs", 1, "--way", "processes")
    path = write(tmp_path, title="first")
    code, said = tutelage("study", "run", path, *common)
    assert (code, "6 of 6 runs are complete" in said) == (0, True), said
    (first,) = runs.glob("*/study.json")
    kept = first.read_bytes()

    code, said = tutelage("study", "run", path, *common)  # the same file goes on in its folder
    assert (code, "keeps the study" in said) == (0, False), said
    assert list(runs.glob("*/study.json")) == [first]

    write(tmp_path, title="second")
    code, said = tutelage("study", "plan", path, *common[:-2])
    assert (code, f"{first.parent} keeps the study as it was" in said) == (0, True), said
    assert list(runs.glob("*/study.json")) == [first]  # a plan writes nothing
    for _ in range(2):
        code, said = tutelage("study", "run", path, *common)
        assert (code, "6 of 6 runs are complete" in said) == (0, True), said
        assert f"{first.parent} keeps the study as it was; this one has {first.parent}-" in said
        assert first.read_bytes() == kept
        (second,) = set(runs.glob("*/study.json")) - {first}
        assert json.loads(second.read_text())["title"] == "second"
        assert second.parent.name.startswith(f"{first.parent.name}-")
    assert not list(second.parent.rglob("run.json"))  # its runs are those of the first

    code, said = tutelage("study", "run", path, *common, "--name", first.parent.name)
    assert (code, json.loads(first.read_text())["title"]) == (0, "second"), said

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tutelage.cli.concepts import app as group
from tutelage.cli.root import app
from tutelage.concepts import open_concepts, read, shipped


def invoke(*arguments):
    return CliRunner().invoke(app, ["concepts", *map(str, arguments)])


def test_show_counts_classes_concepts_and_origins():
    whole = invoke("show", "cifar10")
    assert whole.exit_code == 0
    assert "concepts of 10 classes" in whole.output
    one = invoke("show", "cifar10", "bird")
    assert "water surface all around  (also frog, ship)" in one.output
    origin = invoke("show", "cifar10", "--concept", "green eyes")
    assert "cat: source written" in origin.output


def test_import_cleans_and_says_what_it_left_out(tmp_path):
    labo = tmp_path / "class2concepts.json"
    labo.write_text(
        json.dumps(
            {"cat": ["Four legs.", "cat's ears"], "puppy": ["four legs", "loyal look"], "ox": []}
        )
    )
    out, dropped = tmp_path / "ours.json", tmp_path / "dropped.csv"
    done = invoke(
        *("import", labo, out, "--rename", "puppy=dog", "--refuse", "loyal", "--dropped", dropped)
    )
    assert done.exit_code == 0, done.output
    assert "1 concepts of 3 classes" in done.output
    assert "joined with an equal one: 1" in done.output
    assert "class 'ox' has no concept" in done.output
    assert read(out).concepts[0].owners == ("cat", "dog")
    assert dropped.read_text().splitlines()[1:] == [
        "cat's ears,cat,class name: cat's",
        "loyal look,dog,refused word 'loyal'",
    ]
    assert invoke("import", labo, out, "--raw").exit_code == 0
    assert len(read(out)) == 4


def test_what_was_left_out_is_no_formula(tmp_path):
    labo, dropped = tmp_path / "class2concepts.json", tmp_path / "deep" / "dropped.csv"
    labo.write_text(json.dumps({"=cat": ["four legs", "loyal look"]}))
    done = invoke("import", labo, tmp_path / "a.json", "--refuse", "loyal", "--dropped", dropped)
    assert done.exit_code == 0, done.output
    lines = dropped.read_text().splitlines()
    assert lines == ["concept,classes,reason", "loyal look,'=cat,refused word 'loyal'"]


def test_clean_leaves_a_clean_set_alone(tmp_path):
    done = invoke("clean", "hapt", tmp_path / "a.json")
    assert done.output.count("\n") == 1
    assert read(tmp_path / "a.json").fingerprint in invoke("show", "hapt").output


def test_people_are_asked_and_their_answers_counted(tmp_path):
    samples, top, sheet = (tmp_path / name for name in ("s.csv", "t.csv", "sheet.csv"))
    samples.write_text("class,sample\ncat,1.png\ncat,2.png\n")
    top.write_text("concept,sample\ngreen eyes,7.png\n")
    done = invoke("ask", "cifar10", sheet, "--samples", samples, "--top", top)
    assert done.exit_code == 0, done.output
    head, *rows = sheet.read_text(encoding="utf-8-sig").splitlines()
    assert f"{len(rows)} questions" in done.output
    filled = [row + ("no" if "green eyes" in row else "yes") for row in rows]
    sheet.write_text("\n".join([head, *filled]) + "\n")
    found = invoke("rated", sheet, "--worst", "1")
    assert found.exit_code == 0, found.output
    assert "factuality: 0.979" in found.output  # one of 48 phrases is refused
    assert "0.00  cat: green eyes (2 answers)" in found.output
    assert "groundability: 0.000" in found.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "cifar"], "did you mean 'cifar10'"),
        (["show", "cifar10", "bat"], "did you mean 'cat'"),
        (["generate", "a.json", "--classes", "cat"], "neither --model nor --answers"),
        (["generate", "a.json", "--classes", "cat", "--answers", "none.jsonl"], "no such file"),
        (
            ["generate", "a.json", "--classes", "cat", "--model", "x/y", "--gap", "place"],
            "allowed is NAME=VALUE",
        ),
        (["clean", "hapt", "a.txt"], "written to .json"),
        (["clean", "hapt", "a.json", "--class-names", "keep"], "reject, remove, replace"),
        (["import", "none.json", "a.json"], "no such file"),
        (["ask", "hapt", "a.csv"], "no samples to show"),
        (["rated", "none.csv"], "no such file"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert done.output.startswith("error: ")
    assert done.output.count("\n") == 1
    assert sentence in done.output
    assert not list(tmp_path.iterdir())


def test_class_names_come_from_a_list_a_file_or_a_set(tmp_path):
    names = tmp_path / "classes.txt"
    names.write_text("night owl\n\ncrow, hooded\n")
    answers = tmp_path / "answers.jsonl"
    answers.write_text("")
    for classes, first in (
        (names, "a night owl"),
        ("eel,ray", "a eel"),
        ("pamap2", "a rope jumping"),
    ):
        done = invoke("generate", tmp_path / "a.json", "--classes", classes, "--answers", answers)
        assert first in done.output  # the first question that has no answer


def test_the_guide_runs_and_names_commands_that_exist():
    text = Path("docs/concepts.md").read_text()
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(code, {})
    commands = {command.name or command.callback.__name__ for command in group.registered_commands}
    assert commands == set(re.findall(r"tutelage concepts (\w+)", text))
    options = set(re.findall(r"--[a-z][a-z-]*", text))
    known = " ".join(invoke(command, "--help").output for command in commands)
    assert {option for option in options if option not in known} == set()


def test_the_guide_counts_what_is_shipped():
    text = Path("docs/concepts.md").read_text()
    for name in shipped():
        concepts = open_concepts(name)
        counts = [len(concepts.of(owner)) for owner in concepts.classes]
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        assert f"| {len(concepts)} | {min(counts)} to {max(counts)} |" in row

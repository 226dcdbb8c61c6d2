"""A study is read from its folder or a URL; what is missing is a hole, and places of a table mean one thing."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from upath import UPath

from tests.study.studied import AXES, share, write_study
from tests.training.small import recipe
from tutelage.errors import UserError
from tutelage.runs.location import below, location
from tutelage.study import file as study
from tutelage.study.layout import lay_out, table_spec
from tutelage.study.ledger import read_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = write_study(
        tmp_path_factory.mktemp("study"),
        cells={"16-1_high": {"failed": (("base", "fold-1", 1),)}},
        started=("16-1_low", "16-1_high", "16-3_low"),
    )
    share(path, "16-1_high", "16-1_low", "alone")
    for alone in (path / "16-1_high").glob("*/alone"):
        shutil.rmtree(alone)
    return path


@pytest.fixture(scope="module")
def ledger(folder):
    return read_study(folder)


def named(ledger, content):
    """Row name -> the cells of each column, or None."""
    layout = lay_out(ledger, table_spec(content))
    return layout.columns, {
        (row.group, row.name): [tuple(part and part.cell.name for part in slot) for slot in row.slots]
        for row in layout.rows
    }  # fmt: skip


def test_cells_axes_and_holes(ledger):
    assert ledger.axes == {"teachers": ("16-1", "16-3"), "weight": ("low", "high")}
    assert ledger.students == ("alone", "base", "annsp") and ledger.teachers == ("sig",)
    assert [(one.cell, one.kind) for one in ledger.missing] == [
        ("16-3_high", "cell"), ("16-1_high", "failed"),
    ]  # fmt: skip
    assert ledger.missing[0].reason == "not started"
    shared = ledger.find({"teachers": "16-1", "weight": "high"})[0].of("alone")
    assert len(shared) == 6 and all(run.path.startswith("../16-1_low/") for run in shared)


def test_a_url_gives_the_same_ledger(folder, ledger):
    there = UPath("memory://s2/ladder")
    for path in folder.rglob("*"):
        if path.is_file():
            place = there / path.relative_to(folder).as_posix()
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    far = read_study(location("memory://s2/ladder"))
    assert far.missing == ledger.missing and far.findings == ledger.findings
    for here, other in zip(ledger.experiments, far.experiments, strict=True):
        assert [run.fingerprint for run in here.runs] == [run.fingerprint for run in other.runs]
        assert [run.evaluations for run in here.runs] == [run.evaluations for run in other.runs]
        assert len(other.runs[0].curve()) == 3
    assert below(there / "16-3_low", "../16-1_low").as_posix().endswith("ladder/16-1_low")


def test_an_experiment_is_a_study_of_one_cell(folder):
    found = read_study(folder / "16-1_low")
    assert [cell.name for cell in found.cells] == ["all"] and not found.axes
    assert len(found.experiments[0].runs) == 24


def test_a_cell_that_contradicts_itself_is_a_hole_and_the_others_stay(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    path = next((copy / "16-3_low").glob("fold-1/base/seed-0-*")) / "evaluation.json"
    content = json.loads(path.read_text())
    content["test"]["accuracy"] = 0.123  # its confusion matrix says another
    path.write_text(json.dumps(content))
    found = read_study(copy)
    refused = next(one for one in found.missing if one.cell == "16-3_low")
    assert refused.kind == "cell" and "refused" in refused.reason and "accuracy" in refused.reason
    assert len(found.experiments) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["cells"].append(c["cells"][0]), "16-1_low stands there more than once"),
        (lambda c: c["cells"][0].update(path="/etc"), "'/etc' is not relative"),
        (lambda c: c.update(schema=2), "schema: Input should be 1, found 2"),
    ],
)
def test_a_wrong_study_is_refused(tmp_path, change, message):
    write_study(tmp_path, started=())
    content = json.loads((tmp_path / "study.json").read_text())
    change(content)
    (tmp_path / "study.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        read_study(tmp_path)


def test_what_the_study_file_writes_is_what_is_read(tmp_path):
    content = {
        "recipe": recipe(), "vary": {"alpha": {0.1: {"seeds": [1]}, 0.5: {"seeds": [2]}}},
        "table": {"columns": "alpha"},
    }  # fmt: skip
    path = tmp_path / "ladder.yaml"
    path.write_text(yaml.safe_dump(content))
    study.write_study(study.load_study(path), tmp_path / "made", {})
    found = read_study(tmp_path / "made")
    assert found.axes == {"alpha": ("0.1", "0.5")} and found.declared == {"columns": "alpha"}
    assert [one.reason for one in found.missing] == ["not started", "not started"]
    assert lay_out(found, table_spec(found.declared)).rows == ()


def test_a_url_that_nobody_knows_is_one_sentence():
    with pytest.raises(UserError, match="nowhere://a: cannot be read"):
        location("nowhere://a")


def test_no_study(tmp_path):
    with pytest.raises(UserError, match="no study here"):
        read_study(tmp_path)


def test_rows_by_keys_take_in_every_axis(ledger):
    columns, rows = named(ledger, {"columns": "teachers"})
    assert columns == ("16-1", "16-3")
    assert rows["base", "low"] == [("16-1_low",), ("16-3_low",)]
    assert rows["sig", "high"] == [("16-1_high",), ("16-3_high",)]


def test_rows_that_show_the_same_runs_become_one(folder, tmp_path):
    study = write_study(tmp_path, axes={"weight": ("low", "high")})
    columns, rows = named(read_study(study), {"at": {}, "title": "x"})
    assert columns == ("accuracy",)
    assert (
        ("alone", "every weight") in rows
        and ("base", "low") in rows
        and ("alone", "low") not in rows
    )


def test_rows_spelled_out_hold_several_methods(ledger):
    _, rows = named(ledger, {
        "columns": "teachers",
        "rows": ["alone", {"stage": ["base", "annsp"], "group": "3", "name": "Base / Annsp",
                           "at": {"weight": "low"}}],
    })  # fmt: skip
    assert rows["3", "Base / Annsp"] == [("16-1_low", "16-1_low"), ("16-3_low", "16-3_low")]
    # alone is the same in both cells of 16-1; of 16-3 one cell is not started, so nobody knows yet.
    assert rows["", "alone"] == [("16-1_low",), ("16-3_high",)]


def test_columns_may_be_folds(ledger):
    columns, rows = named(ledger, {"columns": "fold", "rows": "stage", "at": {"teachers": "16-1"}})
    assert columns == ("fold-1", "fold-2") and len(rows) == 7
    assert ("alone", "every weight") in rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rows": [{"stage": "base"}]}, "table.rows.0: base has other runs in each of 3 cells"),
        ({"rows": "wieght"}, "unknown axis 'wieght'; did you mean 'weight'"),
        ({"at": {"weight": "mid"}}, r"table.at.weight: unknown value 'mid' \(allowed: high, low\)"),
        ({"rows": "weight", "columns": "weight"}, "weight stands in two places"),
        (
            {"rows": [{"stage": "bsae"}]},
            "table.rows.0.stage: unknown stage 'bsae'; did you mean 'base'",
        ),
        (
            {"rows": [{"stagee": "base"}]},
            "table.rows.0.stage: is missing",
        ),
        ({"spred": "folds"}, "table: unknown key 'spred'; did you mean 'spread'"),
        ({"spread": "sd"}, "table.spread: found 'sd'"),
        ({"runs": {"best": 0}}, "runs.best: found 0"),
        ({"against": "alnoe"}, "table.against.stage: unknown value 'alnoe'; did you mean 'alone'"),
        ({"average": "micro", "runs": {"best": 2}}, "the best seeds differ between folds"),
    ],
)
def test_a_wrong_table_is_one_sentence(ledger, tmp_path_factory, content, message):
    if content == {"rows": [{"stage": "base"}]}:
        ledger = read_study(
            write_study(tmp_path_factory.mktemp("all"), axes={"w": ("a", "b", "c")})
        )
    with pytest.raises(UserError, match=message) as caught:
        lay_out(ledger, table_spec(content))
    assert "\n" not in str(caught.value)


def test_an_axis_may_not_be_called_like_a_word_of_the_table(tmp_path):
    study = write_study(tmp_path, axes={"stage": ("a", "b")})
    with pytest.raises(UserError, match="an axis called 'stage'"):
        lay_out(read_study(study), table_spec({}))


def test_the_axes_are_those_of_the_helper():
    assert list(AXES) == ["teachers", "weight"]

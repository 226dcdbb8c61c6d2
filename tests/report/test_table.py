"""Markdown, LaTeX and CSV say the same as the ledger."""

import csv
import io
import re

import numpy as np
import pytest

from tests.report.fake import Fake, write
from tutelage.inert import csv_text, printable
from tutelage.report import write_report
from tutelage.report.panels.calibration.figures import reliability
from tutelage.report.panels.confusion.figures import row_percent
from tutelage.report.table import Row, Table, TableCell, TableColumn, escape_latex
from tutelage.runs.ledger import read_experiment
from tutelage.statistics.spreads import mean_of_folds, spread
from tutelage.study.comparison import compare

STAGES = ("sig", "pi", "alone", "base", "annsp")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    fake = Fake(
        windows=30, epochs=2, stages=STAGES, protocol="legacy", failed=(("base", "fold-1", 0),)
    )
    folder = write(tmp_path_factory.mktemp("tables"), fake)
    return read_experiment(folder), write_report(folder).parent / "tables"


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_main_table_agrees_with_the_ledger(made):
    experiment, folder = made
    for row in rows(folder / "main.csv"):
        values = experiment.values(row["method"], lambda e: e.accuracy)
        assert int(row["n"]) == len(values)
        assert float(row["accuracy"]) == pytest.approx(mean_of_folds(values))
        assert float(row["accuracy_spread"]) == pytest.approx(spread(values, "pooled").value)
    assert [row["method"] for row in rows(folder / "main.csv")] == [
        "alone",
        "base",
        "annsp",
        "sig",
        "pi",
    ]


def test_differences_agree_with_the_statistics(made):
    experiment, folder = made
    by_name = {one.student: one for one in compare(experiment)}
    assert by_name["base"].difference.pairs == 5
    for row in rows(folder / "differences.csv"):
        pairs = by_name[row["student"]].difference
        assert float(row["difference"]) == pytest.approx(100 * pairs.mean)
        assert float(row["interval_low"]) == pytest.approx(100 * pairs.interval.low)
        assert float(row["again_high"]) == pytest.approx(100 * pairs.again.high)
        assert float(row["new_subjects_high"]) == pytest.approx(
            100 * by_name[row["student"]].subjects.interval.high
        )
        assert row["verdict"] == pairs.verdict


def test_three_formats_show_the_same_numbers(made):
    experiment, folder = made
    value = mean_of_folds(experiment.values("annsp", lambda e: e.accuracy))
    sd = spread(experiment.values("annsp", lambda e: e.accuracy), "pooled").value
    shown = f"{100 * value:.1f} ± {100 * sd:.1f}"
    line = next(x for x in (folder / "main.md").read_text().splitlines() if x.startswith("| annsp"))
    assert shown in line
    tex = (folder / "main.tex").read_text()
    line = next(x for x in tex.splitlines() if x.startswith("annsp"))
    assert shown.replace("±", r"$\pm$") in line
    columns = re.search(r"begin\{tabular\}\{([lr]+)\}", tex).group(1)
    assert all(x.count("&") == len(columns) - 1 for x in tex.splitlines() if x.endswith(r"\\"))


def test_every_table_comes_in_three_formats(made):
    _, folder = made
    names = {"main", "spreads", "differences", "classes", "subjects", "sizes", "legacy", "splits",
             "holes", "runs", "teachers", "agreement", "rescues-class", "rescues-subject"}  # fmt: skip
    names |= {
        f"passed-on-{stage}-{of}" for stage in ("base", "annsp") for of in ("class", "subject")
    }
    found = {path.name for path in folder.iterdir()}
    assert found == {f"{name}.{suffix}" for name in names for suffix in ("md", "tex", "csv")}


def test_optimism_is_legacy_minus_honest(made):
    experiment, folder = made
    for row in rows(folder / "legacy.csv"):
        honest = experiment.values(row["method"], lambda e: e.accuracy)
        legacy = experiment.values(row["method"], lambda e: e.accuracy, "test_legacy")
        gaps = {key: legacy[key] - honest[key] for key in honest}
        assert float(row["optimism"]) == pytest.approx(100 * mean_of_folds(gaps))


def test_worst_subject_by_hand(made):
    experiment, folder = made
    scores = {}
    for run in experiment.of("annsp"):
        for name, score in run.evaluations["test"].per_subject.items():
            scores.setdefault(name, []).append(score.accuracy)
    worst = min(np.mean(found) for found in scores.values())
    row = next(row for row in rows(folder / "main.csv") if row["method"] == "annsp")
    assert float(row["worst_subject"]) == pytest.approx(worst)


def test_holes_are_a_table_of_their_own(made):
    _, folder = made
    (row,) = rows(folder / "holes.csv")
    assert (row["stage"], row["fold"], row["seed"], row["kind"]) == (
        "base",
        "fold-1",
        "0",
        "failed",
    )
    assert len(rows(folder / "runs.csv")) == 29


def test_compression_counts_all_teachers(made):
    _, folder = made
    row = next(row for row in rows(folder / "sizes.csv") if row["network"] == "annsp")
    assert float(row["compression"]) == pytest.approx((510_342 + 1_553_190) / 62_118)


def test_latex_and_markdown_escape():
    assert escape_latex(r"a_b & 50% #1 {x} $y$ ~^\ <z>") == (
        r"a\_b \& 50\% \#1 \{x\} \$y\$ \textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"\textless{}z\textgreater{}"
    )
    odd = TableCell("a|b <i> `c`\nd", "=1")
    table = Table("t", "50 % of\n_all_", (TableColumn("k", "100%", left=True),), (Row((odd,)),))
    assert r"a\|b \<i> \`c\` d" in table.markdown()
    assert r"a\textbar{}b \textless{}i\textgreater{}" in table.latex()
    assert table.latex().startswith("% 50 % of _all_\n")
    assert table.csv() == "k\n'=1\n"  # text, in a spreadsheet, too
    assert "100%" in Table("t", "", table.columns, ()).markdown()


def test_a_row_of_latex_that_begins_with_a_bracket_or_a_star_is_no_argument():
    rows = tuple(
        Row((TableCell(text), TableCell("1"))) for text in ("[pooled]", "*", "(a)", "a [b]")
    )
    table = Table("t", "", (TableColumn("k", "[%]"), TableColumn("n", "n")), rows)
    lines = table.latex().splitlines()
    assert lines[3] == r"{}[\%] & n \\" and lines[1].startswith(r"\begin{tabular}")
    assert lines[5:9] == [r"{}[pooled] & 1 \\", r"{}* & 1 \\", r"(a) & 1 \\", r"a [b] & 1 \\"]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", '=cmd|" /C"!A0']
)
def test_no_text_of_a_csv_is_a_formula(text):
    (header, (cell,)) = csv.reader(io.StringIO(csv_text([text], [[text]]), newline=""))
    assert header == [cell] and cell.startswith("'") and cell[1:].strip()[-1] == text[-1]


def test_numbers_of_a_csv_stay_numbers():
    values = [-0.5, -3, "-0.25", "+2", "-1e-05", None, "plain", "a-b", "5 = 5"]
    (cells,) = csv.reader(io.StringIO(csv_text(["k"], [values]).partition("\n")[2]))
    assert cells == ["-0.5", "-3", "-0.25", "+2", "-1e-05", "", "plain", "a-b", "5 = 5"]


def test_control_characters_are_shown_and_reach_no_file(tmp_path):
    odd = "a\x00b\x1b[31m\u202ec\ud800"
    table = Table("t", odd, (TableColumn("k", odd, left=True),), (Row((TableCell(odd, odd),)),))
    shown = r"a\x00b\x1b[31m\u202ec\ud800"
    assert printable(odd) == shown and shown in table.csv()
    for path in table.write(tmp_path):
        text = path.read_text(encoding="utf-8")
        assert "\x00" not in text and "\x1b" not in text and "\u202e" not in text and "x1b" in text


def test_reliability_by_hand():
    confidence = np.array([0.9, 0.79, 0.59, 0.55])
    logits = np.log(np.column_stack([confidence, 1 - confidence]))
    found = reliability(logits, np.array([0, 1, 0, 0]))
    assert found.ece == pytest.approx(0.4375)  # golden value of the methods' specification
    assert found.count.sum() == 4


def test_rows_of_a_confusion_matrix():
    found = row_percent(np.array([[3, 1], [0, 0]]))
    assert found[0].tolist() == [75.0, 25.0] and np.isnan(found[1]).all()

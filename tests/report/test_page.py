"""The page stands alone, shows every section, and says what it cannot say."""

import csv
import io
import json
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest

from tests.report.fake import GENEACTIV, Fake, example_window, write
from tutelage.errors import UserError
from tutelage.report import ExampleWindow, write_report
from tutelage.report.context import ReportContext
from tutelage.report.headline import headline
from tutelage.report.panels.confusion.figures import confusion, difference
from tutelage.runs.ledger import read_experiment

SECTIONS = [
    "results", "differences", "curves", "confusion", "people", "calibration", "window", "sizes",
    "setting", "holes", "runs",
]  # fmt: skip


VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects ids, links, and unbalanced tags."""

    def __init__(self, html):
        super().__init__()
        self.ids, self.links, self.used, self.open, self.wrong = [], [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        self.note(found)

    def handle_startendtag(self, tag, attributes):
        self.note(dict(attributes))

    def note(self, found):
        if "id" in found:
            self.ids.append(found["id"])
        for key in ("href", "src", "xlink:href", "action", "data", "srcset"):
            if key in found:
                self.links.append(found[key])
        self.used += [found["popovertarget"]] if "popovertarget" in found else []

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def seven(tmp_path_factory):
    fake = Fake(
        windows=60, epochs=6, failed=(("base", "fold-2", 1),), missing=(("ann", "fold-1", 2),)
    )
    folder = write(tmp_path_factory.mktemp("seven"), fake)
    return write_report(folder, example=example_window())


@pytest.fixture(scope="module")
def fourteen(tmp_path_factory):
    fake = Fake(classes=GENEACTIV, protocol="legacy", synthetic=True, epochs=4, windows=40,
                title="<b>14 & 'more'</b>", stages=("sig", "alone", "annsp"))  # fmt: skip
    return write_report(write(tmp_path_factory.mktemp("fourteen"), fake), example=example_window())


@pytest.mark.parametrize("which", ["seven", "fourteen"])
def test_the_page_needs_nothing_from_outside(which, request):
    html = request.getfixturevalue(which).read_text()
    page = Page(html)
    assert not [link for link in page.links if not link.startswith(("#", "data:"))]
    assert "http://" not in html and "https://" not in html
    assert "<script" not in html and "@import" not in html
    assert all(target.startswith(("#", "data:")) for target in re.findall(r"url\(([^)]*)\)", html))


@pytest.mark.parametrize("which", ["seven", "fourteen"])
def test_ids_are_unique_and_links_arrive(which, request):
    page = Page(request.getfixturevalue(which).read_text())
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert page.used and set(page.used) <= set(page.ids)
    assert not page.wrong and not page.open


def test_every_section_is_there(seven, fourteen):
    ids = Page(seven.read_text()).ids
    assert [name for name in ids if name in {*SECTIONS, "legacy"}] == SECTIONS
    assert {"answer", "reading"} <= set(ids)
    assert "legacy" in Page(fourteen.read_text()).ids


def test_the_answer_is_the_sentence_of_the_statistics(seven):
    html = seven.read_text()
    headline = re.search(r'class="headline">([^<]*)<', html).group(1)
    assert re.fullmatch(
        r"annsp and alone are not distinguishable with 2 folds, n = 6 pairs \(difference [\d.]+, interval "
        r"[\d.]+ to [\d.]+\)\. With 2 folds nothing is claimed\.",
        headline,
    )
    assert "For new subjects" in html and "best validation accuracy" in html


def test_the_headline_says_when_a_claim_ends_at_the_tested_subjects(tmp_path):
    fake = Fake(classes=GENEACTIV, windows=80, epochs=1, stages=("sig", "alone", "base"), title="c",
                folds=("fold-1",))  # fmt: skip
    found = headline(ReportContext(read_experiment(write(tmp_path, fake))))
    assert [claim.verdict for claim in found.claims[:2]] == ["better", "not distinguishable"]
    assert found.sentence.startswith(
        "base is better than alone by 4.1 points (95 % interval 0.3 to 7.9"
    )
    assert "For new subjects base and alone are not distinguishable" in found.sentence


def test_holes_have_their_reason(seven):
    html = seven.read_text()
    assert "non_finite (soft) in epoch 8: the loss is nan" in html
    assert "the folder does not exist" in html and "5 of 6" in html
    assert "2 runs of 42 gave no number" in html


def test_synthetic_data_and_legacy_are_flagged(seven, fourteen):
    assert "The data are synthetic." in fourteen.read_text()
    assert "Protocol: legacy." in fourteen.read_text()
    assert "synthetic" not in re.sub(r"<style>.*?</style>", "", seven.read_text(), flags=re.S)


def test_names_are_escaped(fourteen):
    html = fourteen.read_text()
    assert "&lt;b&gt;14 &amp; &#39;more&#39;&lt;/b&gt;" in html
    assert "<laundry>" not in html and "folding &lt;laundry&gt;" in html


def test_text_of_figures_is_text_in_the_font_of_the_page(seven):
    html = seven.read_text()
    assert "DejaVu" not in html and "var(--font)" in html
    assert re.search(r"<text[^>]*>upstairs</text>", html)


def test_figures_carry_their_data(seven):
    links = [link for link in Page(seven.read_text()).links if link.startswith("data:text/csv")]
    tables = [list(csv.reader(io.StringIO(unquote(link.split(",", 1)[1])))) for link in links]
    forest = next(table for table in tables if table[0][:2] == ["student", "what"])
    experiment = read_experiment(seven.parent.parent)
    runs = {run.key: run for run in experiment.of("alone")}
    pair = next(row for row in forest if row[:2] == ["annsp", "pair fold-1 seed 0"])
    mine = next(run for run in experiment.of("annsp") if run.key == ("fold-1", 0))
    expected = mine.evaluations["test"].accuracy - runs["fold-1", 0].evaluations["test"].accuracy
    assert float(pair[2]) == pytest.approx(100 * expected)
    assert sum(int(row[2]) for row in next(t for t in tables if t[0][0] == "true")[1:]) == 6 * 300


def test_cells_open_to_their_runs(seven):
    html = seven.read_text()
    experiment = read_experiment(seven.parent.parent)
    for run in experiment.of("annsp"):
        value = f"{100 * run.evaluations['test'].accuracy:.1f}"
        row = (f"<tr><td>{run.fold}</td><td>{run.seed}</td><td>{value}</td>"
               f'<td class="quiet">{run.path}</td></tr>')  # fmt: skip
        assert row in html


def test_one_seed_and_one_fold_claim_nothing(tmp_path):
    fake = Fake(
        seeds=(0,), folds=("fold-1",), windows=20, epochs=2, stages=("sig", "alone", "base")
    )
    html = write_report(write(tmp_path, fake)).read_text()
    assert "base and alone are not distinguishable with n = 1 pair (difference" in html
    assert "±" not in re.search(r"<tbody>.*?</tbody>", html, re.S).group(0)
    assert "No window was handed to the report." in html


def test_without_a_complete_student_the_page_says_so(tmp_path):
    stages, folds = ("sig", "alone", "base"), ("fold-1", "fold-2")
    broken = tuple((s, f, k) for s in ("alone", "base") for f in folds for k in (0, 1, 2))
    fake = Fake(windows=20, epochs=2, stages=stages, failed=broken)
    html = write_report(write(tmp_path / "a", fake)).read_text()
    assert "No student with teachers is complete yet" in html and "No student is complete." in html
    broken += tuple(("sig", f, k) for f in folds for k in (0, 1, 2))
    nothing = Fake(windows=20, stages=stages, failed=broken)
    html = write_report(write(tmp_path / "b", nothing)).read_text()
    assert html.count("No run is complete.") == 4
    assert not Page(html).wrong


def test_a_student_without_its_baseline_is_not_compared(tmp_path):
    broken = tuple(("alone", f, k) for f in ("fold-1", "fold-2") for k in (0, 1, 2))
    fake = Fake(windows=20, epochs=2, stages=("sig", "alone", "base"), failed=broken)
    html = write_report(write(tmp_path, fake)).read_text()
    assert "base and alone cannot be compared: no fold and seed has both." in html


def test_data_without_subjects_predictions_and_logs(tmp_path):
    folder = write(tmp_path, Fake(windows=20, epochs=2, stages=("sig", "alone", "base")))
    for path in folder.glob("*/*/*/evaluation.json"):
        content = json.loads(path.read_text())
        for split in content.values():
            split["per_subject"] = {}
        path.write_text(json.dumps(content))
        for file in ("predictions-test.npz", "predictions-validation.npz", "metrics.jsonl"):
            (path.parent / file).unlink()
    html = write_report(folder).read_text()
    assert "The data name no subjects." in html and "no subjects" in html
    assert "No complete student has predictions" in html
    assert "No complete run has a training log." in html


@pytest.mark.parametrize(("many", "named"), [(24, 2), (60, 0)])
def test_many_classes_fit(tmp_path, many, named):
    classes = tuple(f"class $number_{i}$ with a long & odd name" for i in range(many))
    fake = Fake(
        classes=classes, windows=2 * many, seeds=(0,), folds=("fold-1",), stages=("sig", "alone")
    )
    runs = read_experiment(write(tmp_path, fake)).of("alone")
    for drawing in (confusion(runs, classes), difference(runs, runs, classes)):
        # on both axes, as plain text; with too many classes on neither
        assert len(re.findall(r"<text[^>]*>class \$number_7\$ with…</text>", drawing.svg)) == named
        assert drawing.width <= 1100


def test_the_report_is_the_same_twice(tmp_path):
    folder = write(tmp_path, Fake(windows=20, epochs=2, stages=("sig", "alone", "base")))
    first = write_report(folder, tmp_path / "one").read_bytes()
    assert write_report(folder, tmp_path / "two").read_bytes() == first
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["index.html", "tables"]


def test_the_window_is_read_from_the_experiment(tmp_path):
    window = example_window()
    folder = write(tmp_path, Fake(windows=20, epochs=2, stages=("sig", "alone", "base")))
    arrays = {f"image-{name}": image for name, image in window.images.items()}
    fixed = {"signal": window.signal, "rate": 50.0, "channel": 2, "class_name": "walking",
             "subject": "", "births": window.diagram[0], "deaths": window.diagram[1],
             "channel_names": np.array(window.channel_names)}  # fmt: skip
    np.savez(folder / "example.npz", **fixed, **arrays)
    html = write_report(folder).read_text()
    assert "walking, test split." in html and "images show acc z, the strong line" in html
    np.savez(folder / "example.npz", **{**fixed, "subject": np.array([object()])})
    html = write_report(folder).read_text()  # the file costs its panel alone
    assert "images show acc z, the strong line" not in html and 'id="results"' in html
    note = f"{folder / 'example.npz'}: not a file of an example window ("
    assert html.count(note) == 1 and "); what needs this file is not shown." in html


def test_wrong_windows_are_refused():
    with pytest.raises(ValueError, match="channel names"):
        ExampleWindow(np.zeros((2, 8)), 50.0, ("x",), "a", "s")
    with pytest.raises(ValueError, match="channel 2 of 2"):
        ExampleWindow(np.zeros((2, 8)), 50.0, ("x", "y"), "a", "s", channel=2)
    with pytest.raises(ValueError, match="image 'pi'"):
        ExampleWindow(np.zeros((1, 8)), 50.0, ("x",), "a", "s", {"pi": np.zeros((4, 4))})


def test_a_tampered_ledger_gives_no_report(tmp_path):
    folder = write(tmp_path, Fake(windows=20, epochs=2, stages=("sig", "alone", "base")))
    path = next(folder.glob("fold-1/base/seed-0-*/run.json"))
    path.write_text(path.read_text().replace('"fingerprint": "', '"fingerprint": "0', 1))
    with pytest.raises(UserError, match="the fingerprint is"):
        write_report(folder)
    assert not (folder / "report").exists()
    shutil.rmtree(folder)

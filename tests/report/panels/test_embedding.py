"""The panel of embeddings: means and intervals by hand, the data of what is drawn."""

import csv
import io

import numpy as np
import pytest
from scipy import stats

from tests.report.fake import Fake, rng, write
from tutelage.report.context import ReportContext
from tutelage.report.panels.embedding.figures import DOTS
from tutelage.report.panels.embedding.section import section
from tutelage.runs.embedding import ClusterScores, EmbeddingHeader, EmbeddingMaps
from tutelage.runs.ledger import read_experiment

FAKE = Fake(
    stages=("sig", "alone", "base"), windows=20, epochs=1, seeds=(0, 1), folds=("a", "b", "c")
)
N = 500


def keep(run, tsne):
    random = rng("look", run.stage, *run.key)
    labels = np.arange(N) % 6
    points = random.normal(size=(N, 2)) + labels[:, None]
    v = float(0.6 + 0.1 * (run.stage == "base") + 0.05 * random.random())
    scores = ClusterScores(v, v, v)
    header = EmbeddingHeader(1, run.fingerprint, "w", "embedding", 64, 6, scores, (0.5, 0.2))
    EmbeddingMaps(header, np.arange(N), labels, points, points if tsne else None).save(run.folder)
    return v


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("looked") / "x", FAKE)
    experiment = read_experiment(folder)
    assert section(ReportContext(experiment)) is None  # nobody has looked
    values = {(run.stage, *run.key): keep(run, run.key == ("a", 0)) for run in experiment.runs}
    return read_experiment(folder), values


def test_scores_are_means_of_folds_with_t_intervals(looked):
    experiment, values = looked
    [table] = section(ReportContext(experiment)).tables
    row = next(r for r in csv.DictReader(io.StringIO(table.csv())) if r["stage"] == "alone")
    units = np.array([np.mean([values["alone", fold, seed] for seed in (0, 1)]) for fold in "abc"])
    half = stats.t.ppf(0.975, 2) * units.std(ddof=1) / np.sqrt(3)
    assert float(row["v_score"]) == pytest.approx(units.mean())
    assert float(row["v_score_interval_low"]) == pytest.approx(units.mean() - half)
    assert float(row["v_score_interval_high"]) == pytest.approx(units.mean() + half)
    assert row["n"] == "6"


def test_the_figure_has_one_fold_and_its_data(looked):
    experiment, _ = looked
    made = section(ReportContext(experiment))
    rows = list(csv.DictReader(io.StringIO(made.figures[0].drawing.data)))
    assert len(rows) == 3 * 2 * DOTS  # stages, maps, samples that are drawn
    assert {(row["fold"], row["seed"]) for row in rows} == {("a", "0")}
    of_stage = {row["stage"]: row["sample"] for row in rows}
    assert set(of_stage) == {"sig", "alone", "base"} and len(set(of_stage.values())) == 1
    run = next(r for r in experiment.of("base") if r.key == ("a", 0))
    last = next(r for r in reversed(rows) if (r["stage"], r["map"]) == ("base", "t-SNE"))
    assert float(last["x"]) == pytest.approx(run.embedding().tsne[int(last["sample"]), 0])
    assert last["class"] == experiment.class_names[int(last["sample"]) % 6]
    assert "400 of 500 samples are drawn" in made.figures[0].caption
    assert any(note.startswith("V-score of base minus alone") for note in made.notes)

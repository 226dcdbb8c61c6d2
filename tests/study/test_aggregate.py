"""An aggregate equals a loop over evaluations, and says what it left out."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tutelage.errors import UserError
from tutelage.study.aggregate import Aggregation, Best, aggregate

SIZES = {"a": 40, "b": 10}


def evaluation(fold, accuracy, **other):
    return SimpleNamespace(n=SIZES[fold], accuracy=accuracy, ece=0.1, **other)


def run(fold, seed, test, validation=None, **other):
    splits = {"test": evaluation(fold, test, **other)}
    if validation is not None:
        splits["validation"] = evaluation(fold, validation)
    return SimpleNamespace(key=(fold, seed), fold=fold, seed=seed, evaluations=splits)


RUNS = [
    run("a", 0, 0.5, 0.9), run("a", 1, 0.6, 0.7), run("a", 2, 0.7, 0.8),
    run("b", 0, 0.8, 0.6), run("b", 1, 0.9, 0.8), run("b", 2, 1.0, 0.7),
]  # fmt: skip


def test_macro_counts_folds_and_micro_counts_samples():
    macro = aggregate(RUNS, Aggregation(spread="seeds"))
    micro = aggregate(RUNS, Aggregation(average="micro", spread="seeds"))
    assert macro.mean == pytest.approx((0.6 + 0.9) / 2)
    by_seed = [(40 * a + 10 * b) / 50 for a, b in ((0.5, 0.8), (0.6, 0.9), (0.7, 1.0))]
    assert micro.mean == pytest.approx(np.mean(by_seed))
    assert micro.spread.value == pytest.approx(np.std(by_seed, ddof=1))
    assert macro.n == micro.n == 6 and micro.spread.name == "SD over seeds"


def test_every_spread_has_its_own_name():
    names = {kind: aggregate(RUNS, Aggregation(spread=kind)).spread
             for kind in ("seeds", "folds", "pooled", "runs", "error")}  # fmt: skip
    assert len({found.name for found in names.values()}) == 5
    everything = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert names["runs"].value == pytest.approx(np.std(everything, ddof=1))
    assert names["error"].value == pytest.approx(np.std(everything, ddof=1) / np.sqrt(6))
    assert aggregate(RUNS, Aggregation(spread=None)).spread is None


def test_micro_leaves_out_seeds_that_lack_a_fold():
    found = aggregate(RUNS[:-1], Aggregation(average="micro"), planned=6)
    assert found.n == 4 and found.left_out == {("a", 2): "its seed lacks fold b"}
    assert found.mean == pytest.approx(np.mean([(40 * 0.5 + 8) / 50, (40 * 0.6 + 9) / 50]))


def test_micro_macro_f1_is_that_of_all_samples_together():
    rng = np.random.default_rng(0)
    labels = {fold: rng.integers(0, 3, n) for fold, n in SIZES.items()}
    said = {fold: np.where(rng.random(n) < 0.6, labels[fold], rng.integers(0, 3, n))
            for fold, n in SIZES.items()}  # fmt: skip
    runs = []
    for fold in SIZES:
        confusion = np.zeros((3, 3), int)
        np.add.at(confusion, (labels[fold], said[fold]), 1)
        runs.append(run(fold, 0, 0.5, confusion=confusion.tolist(), macro_f1=0.5))
    found = aggregate(runs, Aggregation(metric="macro_f1", average="micro"))
    everything = [np.concatenate([part[fold] for fold in SIZES]) for part in (labels, said)]
    assert found.mean == pytest.approx(f1_score(*everything, average="macro"))


def test_the_best_runs_are_declared_and_the_others_named():
    how = Aggregation(runs=Best(best=1, on="validation"))
    found = aggregate(RUNS, how)
    assert set(found.values) == {("a", 0), ("b", 1)}
    assert found.mean == pytest.approx((0.5 + 0.9) / 2) and found.n == 2
    assert found.left_out["a", 2] == "not among the 1 best on validation"
    assert "only the 1 best seeds by accuracy on validation count" in how.sentence()
    flattering = aggregate(RUNS, Aggregation(runs=Best(best=1, on="test")))
    assert flattering.mean == pytest.approx((0.7 + 1.0) / 2)


def test_less_loss_is_better():
    losses = [run("a", seed, 0.5, nll=value) for seed, value in enumerate((0.3, 0.1, 0.2))]
    for one in losses:
        one.evaluations["validation"] = one.evaluations["test"]
    found = aggregate(losses, Aggregation(metric="nll", runs=Best(best=2)))
    assert set(found.values) == {("a", 1), ("a", 2)}


def test_holes_and_missing_folds_are_said():
    found = aggregate(RUNS[:3], Aggregation(), planned=6, folds=("a", "b"))
    assert (found.n, found.planned, found.folds_missing) == (3, 6, ("b",))
    nothing = aggregate([], Aggregation(), planned=6, folds=("a", "b"))
    assert nothing.mean is None and nothing.folds_missing == ("a", "b")
    lacking = aggregate(RUNS, Aggregation(split="test_legacy"))
    assert lacking.n == 0 and "has no accuracy of the split test_legacy" in lacking.left_out["a", 0]


def test_what_is_no_mean_over_samples_is_refused():
    with pytest.raises(UserError, match="micro is not defined for ece"):
        aggregate(RUNS, Aggregation(metric="ece", average="micro"))
    with pytest.raises(UserError, match="unknown metric 'acuracy'; did you mean 'accuracy'"):
        aggregate(RUNS, Aggregation(metric="acuracy"))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (Aggregation(), "macro: every fold counts the same"),
        (Aggregation(average="micro"), "micro: every sample counts the same"),
        (Aggregation(split="test_legacy"), "epoch chosen on the test split itself"),
        (Aggregation(spread="error"), "± is the standard error, SD over runs / √n"),
        (Aggregation(spread=None), "no spread is shown"),
        (Aggregation(metric="nll"), "Negative log-likelihood, nats"),
    ],
)
def test_the_sentence_says_what_the_numbers_are(how, said):
    assert said in how.sentence()


def test_the_sentence_says_which_networks_were_evaluated():
    def kept(on):
        return SimpleNamespace(record=SimpleNamespace(selected=SimpleNamespace(on=on)))

    assert "; test split, last epoch; " in Aggregation().sentence([kept("last")])
    some = [kept("validation"), kept("average"), kept("average")]
    assert "average of the epochs' weights or epoch chosen on validation" in Aggregation().sentence(
        some
    )
    unfinished = [SimpleNamespace(record=SimpleNamespace(selected=None))]
    assert "validation split, epoch chosen on validation" in Aggregation(
        split="validation"
    ).sentence(unfinished)
    assert "last epoch" not in Aggregation(split="test_legacy").sentence([kept("last")])

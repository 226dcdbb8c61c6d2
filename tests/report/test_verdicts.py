"""Verdicts in words: one rule, one vocabulary."""

import numpy as np
import pytest

from tutelage.report.verdicts import difference_sentence, left_after_correction, subject_sentence
from tutelage.report.wording import minus
from tutelage.statistics.paired import decided, paired_difference
from tutelage.statistics.subjects import SubjectPair, subject_difference


def test_a_claim_on_one_split_says_so():
    better = paired_difference([0.92, 0.93, 0.945], [0.90, 0.91, 0.92])
    low, high = 100 * better.interval.low, 100 * better.interval.high
    assert difference_sentence(better, "Annsp", "alone") == (
        f"Annsp is better than alone by 2.2 points (95 % interval {low:.1f} to {high:.1f} for this split, trained "
        "again, n = 3 pairs)."
    )
    worse = paired_difference([0.90, 0.91, 0.92], [0.92, 0.93, 0.945])
    assert (
        f"worse than b by 2.2 points (95 % interval {low:.1f} to {high:.1f}"
        in difference_sentence(worse, "a", "b")
    )


def test_a_claim_over_folds_is_about_new_people():
    gains = {(fold, seed): 0.02 + 0.001 * at for at, fold in enumerate("abc") for seed in (0, 1)}
    said = difference_sentence(paired_difference(gains, dict.fromkeys(gains, 0.0)), "kd", "alone")
    assert said.startswith("kd is better than alone by 2.1 points (95 % interval ")
    assert said.endswith(" for new people, 3 folds, n = 6 pairs).")


def test_what_is_not_distinguishable_says_why():
    unsure = paired_difference([0.90, 0.92, 0.91], [0.91, 0.90, 0.915])
    said = difference_sentence(unsure, "Base", "alone")
    assert said.startswith(
        "Base and alone are not distinguishable with n = 3 pairs (difference 0.2, interval −"
    )
    two = {("a", 0): 0.03, ("a", 1): 0.031, ("b", 0): 0.01, ("b", 1): 0.011}
    said = difference_sentence(paired_difference(two, dict.fromkeys(two, 0.0)), "x", "y")
    assert said.endswith("With 2 folds nothing is claimed.")
    equal = paired_difference([0.92, 0.93, 0.94], [0.90, 0.91, 0.92])
    assert "cannot be estimated" in difference_sentence(equal, "a", "b")
    alone = paired_difference([0.010, 0.016, 0.022, 0.012, 0.001, 0.009, -0.002], np.zeros(7))
    rest = {name: paired_difference([0.01, -0.01, 0.0], np.zeros(3)) for name in "bcde"}
    said = difference_sentence(decided({"a": alone, **rest})["a"], "a", "alone")
    assert (
        "not distinguishable" in said and "after Holm's correction for 5 comparisons p = 0." in said
    )


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_pairs_in_words(n):
    said = difference_sentence(paired_difference([0.99, 0.991][:n], [0.1, 0.1][:n]), "a", "b")
    if n == 0:
        assert said == "a and b cannot be compared: no fold and seed has both."
    else:
        assert "not distinguishable" in said and "nothing is claimed" in said


def test_where_less_is_better_the_difference_keeps_its_sign():
    fewer = paired_difference([0.5, 0.52, 0.51], [0.40, 0.41, 0.42])  # turned: more is better
    said = difference_sentence(fewer, "a", "b", scale=1.0, unit="nats", lower=True)
    assert said.startswith("a is better than b by 0.100 nats (lower is better; 95 % interval 0.")
    unsure = paired_difference([-0.5, -0.3, -0.4], [-0.41, -0.38, -0.42])
    said = difference_sentence(unsure, "a", "b", scale=1.0, unit="nats", lower=True)
    assert "(difference −0.003, interval −" in said


def test_subjects_in_words():
    nobody = subject_difference([SubjectPair("f", 0, "S1", 10, 0.9, 0.7)])
    assert "Nothing can be said" in subject_sentence(nobody, "a", "b")


def test_what_is_left_after_the_correction():
    strong = paired_difference([0.1, 0.101, 0.102, 0.1], np.zeros(4))
    weak = paired_difference([0.01, -0.01, 0.0], np.zeros(3))
    after = decided({"kd": strong, "dkd": weak})
    said = left_after_correction(list(after.items()), "alone", "students are compared")
    assert said.startswith("2 students are compared") and said.endswith("different from alone: kd.")
    assert left_after_correction([("kd", strong)], "alone", "students are compared") == ""


def test_minus_sign():
    assert (minus(-0.04), minus(-1.25), minus(3.0)) == ("0.0", "−1.2", "3.0")

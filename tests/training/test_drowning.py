"""Coefficients beside which labels would not be heard: what check says, and what it lets pass."""

from types import SimpleNamespace

from tests.training.small import recipe
from tutelage.data import SyntheticWearable
from tutelage.objectives import Distiller, Labels, PerTeacher, Weighted
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import resolve
from tutelage.schedules import GradientShare, Piecewise
from tutelage.terms import SoftTargets
from tutelage.training.check import check
from tutelage.training.drowning import drowning

SPEC = SimpleNamespace(place="stages.kd", train=SimpleNamespace(epochs=6))


def said(coefficient, labels=0.5, reach=(2.0, 0.2)):
    soft = Weighted(PerTeacher(SoftTargets(4.0)), coefficient)
    distiller = Distiller({"labels": Weighted(Labels(), labels), "soft": soft})
    return drowning(distiller, dict(zip(("labels", "soft"), reach, strict=True)), SPEC)


def test_more_than_ten_times_the_labels_is_told_with_the_number_that_would_be_as_strong():
    assert said(49.0) == ()  # 9.8 times
    [sentence] = said(200.0)  # 200 · 0.2 / (0.5 · 2)
    assert sentence.startswith("stages.kd.distiller.soft: its gradient is 40 times that of labels")
    assert "(coefficient 200)" in sentence and "(5 would be as strong)" in sentence


def test_a_schedule_counts_where_it_is_most_and_where_labels_are_least():
    assert said(Piecewise([0.0, 200.0], [0.5]))
    assert said(4.0, labels=Piecewise([0.5, 0.01], [0.5]))
    assert said(4.0, labels=Piecewise([0.5, 0.0], [0.5])) == ()  # without labels nothing is drowned


def test_a_share_is_never_too_much():
    assert said(GradientShare(0.9)) == ()


def test_check_tries_it_on_a_recipe(tmp_path):
    def warned(coefficient):
        content = recipe()
        content["stages"]["annsp"]["distiller"]["similarity"]["coefficient"] = coefficient
        made = parse(Recipe, content, "")
        kind = made.data
        data = SyntheticWearable(**{k: v for k, v in kind.items() if k != "type"}).load(
            tmp_path, lambda *_: None
        )
        fold = Fold.of(DataSpec.of(made), data, 0, tmp_path)
        return {one.stage: one.warnings for one in check(resolve(made, 0, fold), fold)}

    loud = warned(100_000)
    assert [stage for stage, warnings in loud.items() if warnings] == ["annsp"]
    assert "distiller.similarity: its gradient is" in loud["annsp"][0]
    assert not any(warned({"type": "GradientShare", "share": 0.3}).values())

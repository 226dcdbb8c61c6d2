"""The measured numbers in the method cards are those of the result files, and every method has its card."""

import inspect
from pathlib import Path

import pytest
from benchmarks.cards import CARDS, renewed

from tutelage import objectives, terms, weighting

PAGES = sorted(CARDS.glob("*.md"))
PARTS = {
    *(
        "Distiller",
        "Losses",
        "Judged",
        "Weighted",
        "GradientPart",
        "Objective",
        "TracedObjective",
        "PerTeacher",
    ),
    *("Term", "Weighting"),
}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_card_shows_what_was_measured(path):
    assert renewed(path.read_text()) == path.read_text(), "run: python -m benchmarks.cards"


@pytest.mark.parametrize(
    "name",
    [
        name
        for module in (objectives, terms, weighting)
        for name in module.__all__
        if name not in PARTS and inspect.isclass(getattr(module, name))
    ],
)
def test_every_method_is_named_in_a_card(name):
    assert any(name in path.read_text() for path in PAGES)


def test_every_recipe_of_the_wearable_set_is_named_in_a_card():
    text = "\n".join(path.read_text() for path in PAGES)
    for recipe in Path("recipes/hapt").glob("*.yaml"):
        assert f"recipes/hapt/{recipe.name}" in text, recipe

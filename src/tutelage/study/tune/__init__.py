"""Hyper-parameters chosen on validation: the search, its noise floor and its plateau."""

from tutelage.study.tune.plateau import Plateau, Reach, plateau, reach
from tutelage.study.tune.record import Again, Axis, Score, Setting, Tuning, read_tuning
from tutelage.study.tune.search import own_search, tune
from tutelage.study.tune.settings import Search, Tune, search_of

__all__ = [
    "tune", "own_search", "search_of", "Search", "Tune",
    "read_tuning", "Tuning", "Setting", "Axis", "Score", "Again",
    "plateau", "Plateau", "reach", "Reach",
]  # fmt: skip

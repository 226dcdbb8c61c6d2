"""A beginning: a recipe and a study that are written for the data at hand."""

from tutelage.study.start.guessing import Guess, guess
from tutelage.study.start.writing import write_start

__all__ = ["Guess", "guess", "write_start"]

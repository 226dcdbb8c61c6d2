"""Objectives: what the student is asked for, one number per sample, and the distiller that adds them up."""

from tutelage.objectives.base import Objective
from tutelage.objectives.distiller import Distiller, Losses, Weighted
from tutelage.objectives.labels import Labels
from tutelage.objectives.merged_similarity import MergedSimilarity
from tutelage.objectives.per_teacher import PerTeacher

__all__ = [
    "Distiller",
    "Labels",
    "Losses",
    "MergedSimilarity",
    "Objective",
    "PerTeacher",
    "Weighted",
]

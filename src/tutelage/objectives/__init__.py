"""Objectives: what the student is asked for, one number per sample, and the distiller that adds them up."""

from tutelage.objectives.base import Judged, Objective, TracedObjective
from tutelage.objectives.concept_attention import ConceptExplanation, ConceptSparsity
from tutelage.objectives.confident_features import ConfidentFeatures
from tutelage.objectives.curriculum_labels import CurriculumLabels
from tutelage.objectives.distiller import Distiller, GradientPart, Losses, Weighted
from tutelage.objectives.experts import Experts
from tutelage.objectives.knowledge_binding import KnowledgeBinding
from tutelage.objectives.labels import Labels
from tutelage.objectives.margin_labels import MarginLabels
from tutelage.objectives.merged_similarity import MergedSimilarity
from tutelage.objectives.orthogonal_features import OrthogonalFeatures
from tutelage.objectives.per_teacher import PerTeacher
from tutelage.objectives.policy_weighted import PolicyWeighted
from tutelage.objectives.self_regulation import SelfRegulation

__all__ = [
    "ConceptExplanation",
    "ConceptSparsity",
    "ConfidentFeatures",
    "CurriculumLabels",
    "Distiller",
    "Experts",
    "GradientPart",
    "Judged",
    "KnowledgeBinding",
    "Labels",
    "Losses",
    "MarginLabels",
    "MergedSimilarity",
    "Objective",
    "OrthogonalFeatures",
    "PerTeacher",
    "PolicyWeighted",
    "SelfRegulation",
    "TracedObjective",
    "Weighted",
]

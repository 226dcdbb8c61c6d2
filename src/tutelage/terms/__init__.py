"""Terms: how one student is compared with one teacher, one number per sample."""

from tutelage.terms.base import Term
from tutelage.terms.similarity_map import SimilarityMap
from tutelage.terms.soft_targets import SoftTargets

__all__ = ["SimilarityMap", "SoftTargets", "Term"]

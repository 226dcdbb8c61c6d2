"""Terms: how one student is compared with one teacher, one number per sample."""

from tutelage.terms.angular_margin import AngularMargin
from tutelage.terms.attention_feature import AttentionFeature
from tutelage.terms.attention_map import AttentionMap
from tutelage.terms.base import Term
from tutelage.terms.channel_attention import ChannelAttention
from tutelage.terms.class_relations import ClassRelations
from tutelage.terms.contrastive_representation import ContrastiveRepresentation
from tutelage.terms.decoupled_targets import DecoupledTargets
from tutelage.terms.discriminative_consistent import DiscriminativeConsistent
from tutelage.terms.feature_distance import FeatureDistance
from tutelage.terms.feature_statistics import FeatureStatistics
from tutelage.terms.hint import Hint
from tutelage.terms.projector_distance import ProjectorDistance
from tutelage.terms.pseudo_labels import PseudoLabels
from tutelage.terms.similarity_map import SimilarityMap
from tutelage.terms.soft_targets import SoftTargets
from tutelage.terms.standardised import Standardised

__all__ = [
    "AngularMargin",
    "AttentionFeature",
    "AttentionMap",
    "ChannelAttention",
    "ClassRelations",
    "ContrastiveRepresentation",
    "DecoupledTargets",
    "DiscriminativeConsistent",
    "FeatureDistance",
    "FeatureStatistics",
    "Hint",
    "ProjectorDistance",
    "PseudoLabels",
    "SimilarityMap",
    "SoftTargets",
    "Standardised",
    "Term",
]

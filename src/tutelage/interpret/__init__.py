"""Are explanations true, and what do they look like? Measures of faithfulness, galleries and heat maps.

Everything here works on a network that explains itself (:meth:`tutelage.models.Network.explains`) and on bare,
standardised tensors; ``On.standardise(On.cut(x))`` makes them from a batch.
"""

from tutelage.interpret.ablation import Ablation, ablate, additivity
from tutelage.interpret.agreement import (
    comparable,
    concept_accuracies,
    concept_accuracy,
    concept_chances,
    mass_inside,
    mentioned,
)
from tutelage.interpret.attributions import integrated_gradients, occlusion
from tutelage.interpret.curves import Curve, concept_curves, deletion, insertion
from tutelage.interpret.faithfulness import compare, faithfulness
from tutelage.interpret.gallery import concept_scores, gallery, heat_maps, overlay, spotlight
from tutelage.interpret.maps import complexity, pointing_game, sparseness
from tutelage.interpret.perturbed import (
    Infidelity,
    infidelities,
    infidelity,
    max_sensitivity,
    noise,
    removal,
)
from tutelage.interpret.places import attention_map, attribution_map, contribution_map
from tutelage.interpret.randomisation import Randomisation, likeness, randomisation, randomised
from tutelage.interpret.sparsity import (
    SparseLayer,
    area,
    at_levels,
    effective_concepts,
    matching_layers,
    sparse_path,
)
from tutelage.interpret.stability import Stability, stability

__all__ = [
    "Ablation",
    "Curve",
    "Infidelity",
    "Randomisation",
    "SparseLayer",
    "Stability",
    "ablate",
    "additivity",
    "area",
    "at_levels",
    "attention_map",
    "attribution_map",
    "comparable",
    "compare",
    "complexity",
    "concept_accuracies",
    "concept_chances",
    "concept_accuracy",
    "concept_curves",
    "concept_scores",
    "contribution_map",
    "deletion",
    "effective_concepts",
    "faithfulness",
    "gallery",
    "heat_maps",
    "infidelities",
    "infidelity",
    "insertion",
    "integrated_gradients",
    "likeness",
    "mass_inside",
    "max_sensitivity",
    "matching_layers",
    "mentioned",
    "noise",
    "occlusion",
    "overlay",
    "pointing_game",
    "randomisation",
    "randomised",
    "removal",
    "sparseness",
    "sparse_path",
    "spotlight",
    "stability",
]

"""A recipe of every part on generated data, small enough for seconds."""

from copy import deepcopy
from pathlib import Path

import yaml

RECIPE = {
    "data": {
        "type": "SyntheticWearable",
        "subjects": 6,
        "windows": 12,
        "window": 32,
        "channels": 2,
        "classes": 3,
        "noise": 0.8,
    },
    "split": {"type": "GroupedFolds", "folds": 3, "validation": 1},
    "folds": [0],
    "seeds": [0],
    "modalities": {
        "pi": {"type": "PersistenceImage", "resolution": 8, "normalize": "max", "dtype": "uint8"},
        "gaf": {"type": "GramianField", "size": 8, "dtype": "uint8"},
    },
    "network": {"type": "WideResNet", "depth": 10, "width": 1},
    "train": {"epochs": 2, "batch_size": 16, "learning_rate": {"type": "Cosine", "start": 0.05}},
    "distiller": {
        "labels": {"type": "Labels", "coefficient": 0.5},
        "soft": {
            "type": "PerTeacher",
            "term": {"type": "SoftTargets", "temperature": 4},
            "weighting": {"type": "Fixed", "weights": {"sig": 0.4, "pi": 0.3, "gaf": 0.3}},
            "coefficient": 0.5,
        },
    },
    "stages": {
        "sig": {"seed": 0},
        "pi": {"input": "pi", "seed": 0},
        "gaf": {"input": "gaf", "seed": 0},
        "alone": {},
        "base": {"teachers": ["sig", "pi", "gaf"]},
        "annsp": {
            "teachers": ["sig", "pi", "gaf"],
            "start_from": "alone",
            "distiller": {
                "similarity": {
                    "type": "MergedSimilarity",
                    "weights": {"sig": 0.4, "pi": 0.3, "gaf": 0.3},
                    "coefficient": 100,
                }
            },
        },
    },
    "baseline": "alone",
}


def recipe(change=None):
    """Return the recipe as a mapping, changed by a function that edits it in place."""
    content = deepcopy(RECIPE)
    if change is not None:
        change(content)
    return content


def write(folder: Path, change=None) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe(change), sort_keys=False))
    return path

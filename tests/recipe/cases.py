"""Recipes of every kind, whose runs must be found again: their fingerprints stand in ``fingerprints.json``."""

from pathlib import Path

import yaml

from tests.training.small import recipe

SHIPPED = Path(__file__).parents[2] / "recipes"
IMAGES = {"type": "SyntheticImages", "classes": 5, "samples": 20, "size": 8}


def small(**change):
    return recipe(lambda content: content.update(change))


def stages(**change):
    def apply(content):
        for path, value in change.items():
            item = content["stages"]
            *parts, last = path.split("__")
            for part in parts:
                item = item.setdefault(part, {})
            item[last] = value

    return recipe(apply)


def images(**more):
    return {
        "data": IMAGES,
        "split": {"type": "RandomSplit", "validation": 0.2, "test": 0.2},
        "seeds": [0, 1],
        "network": {"type": "WideResNet", "depth": 10, "width": 1},
        "train": {"epochs": 1, "batch_size": 8},
        "stages": {"teacher": {}, "student": {"teachers": ["teacher"]}},
        "distiller": {"soft": {"type": "PerTeacher", "term": "SoftTargets"}},
    } | more


def cases():
    """Return name -> content of a recipe."""
    found = {
        "small": small(),
        "folds and seeds": small(folds=[0, 2], seeds=[1, 5]),
        "all folds": small(folds="all"),
        "blind": small(protocol="blind"),
        "legacy": small(protocol="legacy"),
        "within window": small(standardise="within_window"),
        "teacher epoch": stages(base__teacher_epoch="last"),
        "run": stages(pi={"input": "pi", "run": "runs/other/pi"}),
        "start of a start": stages(alone__start_from="sig", base__start_from="annsp"),
        "own training": stages(alone__train={"epochs": 5, "select": "last", "mix": {"type": "Mixup"}}),
        "own objective": stages(base__distiller={"soft": {"coefficient": 0.7}, "labels": None}),
        "own network": stages(base__network={"width": 2}),
        "other network": stages(base__network={"type": "ResNet", "depth": 18}),
        "classes": stages(alone__classes=["synthetic activity 1", "synthetic activity 3"]),
        "crop": images(crop=6),
        "crop of one": images(stages={"teacher": {"crop": 6}, "student": {"teachers": ["teacher"]}}),
        "base and novel": images(
            groups="base_novel",
            stages={
                "teacher": {"shots": 3},
                "student": {"teachers": ["teacher"], "train_classes": "base", "unlabelled": True},
            },
        ),
        "named groups": images(
            groups={"few": ["synthetic pattern 1", "synthetic pattern 4"]},
            stages={
                "a": {"train_classes": "few"},
                "b": {"train_classes": ["synthetic pattern 2", "synthetic pattern 3"]},
            },
            distiller={},
        ),
        "transfer": images(transfer={"moved": IMAGES | {"seed": 3}}),
        "digits, legacy": shipped("digits/cct.yaml") | {"protocol": "legacy", "seeds": [4]},
    }  # fmt: skip
    for name in ("synthetic/cct-events.yaml", "synthetic/cct-scenes.yaml", "digits/cct.yaml"):
        found[name] = shipped(name)
    return found


def shipped(name):
    return yaml.safe_load((SHIPPED / name).read_text().replace("e-3", "e-03"))

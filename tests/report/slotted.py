"""Adds what a workspace of slots leaves behind to run folders that ``fake`` wrote."""

import json

import numpy as np

from tests.report.fake import rng

TEACHERS = ("sig", "pi", "gaf")
OBJECTIVE = "workspace"
MODES = {"ema_slots": 0.01, "plain": -0.04}


def add_slots(folder, stage="annsp", slots=5, *, kept=60, taste=1.0, shape=(6, 128)):
    """Write traces, ``inspection.npz`` and variants into every run of a stage; slots are permuted by run.

    ``shape`` is that of one input of the student; with ``taste`` 0 all slots are used alike.
    """
    for place in sorted(folder.glob(f"*/{stage}/*")):
        _traces(place, slots)
        _variants(place)
        _inspection(place, slots, kept, taste, shape)
    return folder


def log(place):
    return [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]


def _traces(place, slots):
    own = rng("slots", place.name)
    lines = log(place)
    classes = len(json.loads((place / "run.json").read_text())["data"]["class_names"])
    for epoch, line in enumerate(lines):
        found = {}
        for k, teacher in enumerate(TEACHERS):
            found[f"distance.{teacher}"] = (
                0.03 * (1 + k) * np.exp(-epoch / 9) * own.lognormal(0, 0.1)
            )
            uses = np.exp(own.permutation(slots) * 0.08 * epoch * (1 + k) / slots)
            found |= {f"bound.{teacher}.{i + 1}": use / uses.sum() for i, use in enumerate(uses)}
        uses = np.exp(own.normal(0, 0.02 * epoch, slots))
        found |= {f"read.{i + 1}": use / uses.sum() for i, use in enumerate(uses)}
        found["alignment"] = sum(found[f"distance.{teacher}"] for teacher in TEACHERS)
        found["correct"] = min(line["train"]["accuracy"] + 0.03, 1.0)
        found |= {"soft": 2.0 / (epoch + 1), "labels": 1.0 / (epoch + 1)}
        for inner in ("soft", "relations"):
            for k, teacher in enumerate(TEACHERS):
                found[f"{inner}.weight.{teacher}"] = (0.5, 0.3, 0.2)[k] + 0.01 * epoch * (1, 0, -1)[
                    k
                ]
        line["traces"] = line.get("traces", {}) | {
            f"{OBJECTIVE}.{name}": {"mean": float(value), "by_class": [float(value)] * classes}
            for name, value in found.items()
        }
    (place / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")


def _variants(place):
    path = place / "evaluation.json"
    content = json.loads(path.read_text())
    for split in content.values():
        split["variants"] = {
            name: {"loss": 0.4, "accuracy": split["accuracy"] + change, "macro_f1": split["macro_f1"] + change,
                   "classes_predicted": 6.0}
            for name, change in MODES.items()
        }  # fmt: skip
    path.write_text(json.dumps(content))


def shares(own, taste, labels, slots, classes, order):
    """[n, K] that sum to one: each class prefers some slots."""
    liking = taste * np.cos(
        np.subtract.outer(np.arange(classes) / classes * 6.3, np.arange(slots) * 1.3)
    )
    scores = liking[:, order][labels] + 0.1 * taste * own.normal(size=(len(labels), slots))
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def places(own, taste, labels, slots, size, order):
    """[n, K, ...] that sum to one over positions: each slot looks at a place of its own, by class."""
    axes = np.meshgrid(*(np.linspace(0, 1, side) for side in size), indexing="ij")
    middle = (np.arange(slots)[order] + 0.5) / slots
    found = np.ones((len(labels), slots, *size))
    for i, label in enumerate(labels):
        for k in range(slots):
            off = sum((axis - (middle[k] + 0.07 * label) % 1) ** 2 for axis in axes)
            found[i, k] += taste * 2.5 * np.exp(-off / 0.02) + 0.1 * taste * own.random(size)
    return found / found.reshape(len(labels), slots, -1).sum(axis=2).reshape(
        len(labels), slots, *[1] * len(size)
    )


def _inspection(place, slots, kept, taste, shape):
    own = rng("inspection", place.name)
    order = own.permutation(slots)
    classes = len(json.loads((place / "run.json").read_text())["data"]["class_names"])
    with np.load(place / "predictions-validation.npz") as stored:
        index, labels, logits = (stored[name][:kept] for name in ("index", "labels", "logits"))
    examples = np.concatenate([np.flatnonzero(labels == c)[:2] for c in range(classes)])
    time = np.arange(int(np.prod(shape[1:]))) / 50
    waves = [np.sin(6.28 * (1 + 0.4 * labels[i]) * time) for i in examples]
    inputs = np.stack([np.broadcast_to(wave, (shape[0], len(wave))) for wave in waves])
    inputs = inputs.reshape(len(examples), *shape) + own.normal(0, 0.1, (len(examples), *shape))
    own_size = (32,) if len(shape) == 2 else (4, 4)
    arrays = {f"bound.{name}": shares(own, taste * (1 + k), labels, slots, classes, order)
              for k, name in enumerate(TEACHERS)}  # fmt: skip
    arrays |= {"read": shares(own, taste / 2, labels, slots, classes, order),
               "read_alone": shares(own, taste / 4, labels, slots, classes, order),
               "place": places(own, taste, labels, slots, own_size, order),
               "place.sig": places(own, taste * 2, labels, slots, (32,), order),
               "place.pi": places(own, taste, labels, slots, (6, 6), order),
               "logits": logits + 2 * np.eye(classes)[labels]}  # fmt: skip
    np.savez_compressed(
        place / "inspection.npz", index=index, labels=labels, examples=examples, inputs=inputs.astype(np.float32),
        **{f"{OBJECTIVE}.{name}": values.astype(np.float32) for name, values in arrays.items()},
    )  # fmt: skip

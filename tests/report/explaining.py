"""Adds what a self-explaining network leaves behind to run folders that ``fake`` wrote."""

import json

import numpy as np

from tests.report.fake import rng

NAMES = (
    "bends",
    "stays level",
    "shakes",
    "turns over",
    "rises",
    "falls",
    "rests",
    "jumps",
    "rolls",
    "swings",
)
TOP = 4


def add_concepts(
    folder,
    stage="annsp",
    streams=None,
    *,
    shape=(6, 128),
    each=2,
    annotated=(),
    names=NAMES,
    lie=0.0,
    measured=True,
    made=False,
):
    """Write ``explanations.npz`` into every run of a stage; parts sum up to the predictions that are there.

    Args:
        folder: of the experiment.
        stage: the stage.
        streams: name -> places along each axis.
        shape: of one input.
        each: samples of a class.
        annotated: streams whose concepts are annotated.
        names: of the concepts of every stream.
        lie: how much more a concept claims than is lost without it.
        measured: whether faithfulness was measured.
        made: the network reads a vector that was made from the input.
    """
    for place in sorted(folder.glob(f"*/{stage}/*")):
        if made:
            record = json.loads((place / "run.json").read_text())
            record["data"] |= {"input_shape": [16], "modality": "clip"}
            (place / "run.json").write_text(json.dumps(record))
        arrays = content(
            place, streams or {"spatial": (16,)}, shape, each, names, lie,
            annotated=annotated, measured=measured,
        )  # fmt: skip

        np.savez_compressed(place / "explanations.npz", **arrays)
    return folder


def content(place, streams, shape, each, names, lie, *, annotated, measured):
    own = rng("concepts", place.name)
    with np.load(place / "predictions-validation.npz") as stored:
        index, labels, logits = (stored[name] for name in ("index", "labels", "logits"))
    classes = logits.shape[1]
    known = [np.flatnonzero(labels == c)[:each] for c in range(classes)]
    picked = np.concatenate([rows for rows in known if len(rows)])
    found = {"index": index[picked], "labels": labels[picked], "logits": logits[picked]}
    found["classes"] = np.stack([pair(logits[i], labels[i]) for i in picked])
    scores = np.take_along_axis(found["logits"], found["classes"], axis=1)
    total = np.zeros_like(scores)
    facts = {}
    seen = set(index[picked].tolist())
    for stream, space in streams.items():
        mine = of_stream(own, found, space, classes, len(names), lie)
        total += mine["contributions"].sum(axis=(1, 2)) + mine["others"]
        if stream in annotated:
            mine["annotated"] = marks(own, mine["contributions"].shape[:3])
        gallery = own.choice(len(index), (len(mine["shown"]), TOP))
        mine |= {"gallery": index[gallery], "gallery_labels": labels[gallery]}
        if np.prod(space) > 1:
            mine["heat"] = own.random((*gallery.shape, int(np.prod(space))))
        seen |= set(mine["gallery"].ravel().tolist())
        found |= {f"{stream}.{name}": values for name, values in mine.items()}
        facts[stream] = {"names": list(names), "space": list(space)}
    found["rest"] = scores - total
    found |= {"input_index": np.array(sorted(seen)), "inputs": pictures(own, len(seen), shape)}
    numbers = measures(own, streams, annotated) if measured else {}
    text = json.dumps({"streams": facts, "scored": len(index), "measured": numbers}).encode()
    found["facts"] = np.frombuffer(text, np.uint8)
    return {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in found.items()}


def pair(logits, label):
    first, second = np.argsort(-logits)[:2]
    return [first, second if first == label else label]


def of_stream(own, found, space, classes, many, lie):
    n, places, kept = len(found["index"]), int(np.prod(space)), min(8, many)
    contributions = own.normal(0, 0.5 / places**0.5, (n, kept, places, 2))
    by_size = -np.abs(np.diff(contributions.sum(axis=2), axis=2))[..., 0]
    contributions = np.take_along_axis(
        contributions, by_size.argsort(axis=1)[:, :, None, None], axis=1
    )
    without = np.repeat(found["logits"][:, None], kept, axis=1) + own.normal(
        0, 0.01, (n, kept, classes)
    )
    scores = np.take_along_axis(found["logits"], found["classes"], axis=1)
    left = scores[:, None] - contributions.sum(axis=2) + lie
    rows = np.broadcast_to(found["classes"][:, None], left.shape)
    np.put_along_axis(without, rows, left, axis=2)
    shown = own.permutation(many)[:6]
    return {
        "concepts": np.stack([own.permutation(many)[:kept] for _ in range(n)]),
        "attention": own.random((n, kept, places)),
        "contributions": contributions,
        "others": own.normal(0, 0.3, (n, 2)) * (many > kept),
        "without": without,
        "use": own.random(many),
        "speaking": np.stack([own.permutation(many)[:5] for _ in range(classes)]),
        "by_class": own.normal(0, 1, (classes, min(5, many))),
        "shown": shown,
    }


def marks(own, shape):
    """Annotations: about a third of the places; the first concept of each sample is not annotated at all."""
    found = (own.random(shape) < 0.3).astype(np.float64)
    found[:, 0] = np.nan
    return found


def pictures(own, many, shape):
    if len(shape) == 3:
        return own.integers(0, 255, (many, *shape)).astype(np.uint8)
    time = np.arange(shape[1]) / 50
    waves = np.sin(6.28 * (1 + own.random((many, 1))) * time)[:, None]
    return (waves + own.normal(0, 0.1, (many, *shape))).astype(np.float32)


def measures(own, streams, annotated):
    areas = {"contribution": 0.2 + 0.1 * own.random(), "attention": 0.5, "random": 0.6}
    found = {
        "samples": 64, "turned": 0.4,
        "additivity_error": 2e-6 * own.random(), "ablation_error": 3e-6 * own.random(),
        "stability": {"logits": 0.0, "attention": 0.0, "top": 1.0},
        "concept_deletion": areas, "concept_insertion": {k: 1 - v for k, v in areas.items()},
        "concept_accuracy": {name: 0.9 for name in annotated},
    }  # fmt: skip
    if any(np.prod(space) > 1 for space in streams.values()):
        found |= {"deletion": areas, "insertion": {k: 0.55 for k in areas}}
        found |= {
            "unexplained": {"contribution": 0.25, "attention": 0.5, "random": 0.75},
            "max_sensitivity": {"contribution": 0.125, "attention": 0.0625},
            "sparseness": {"contribution": 0.625, "attention": 0.375, "random": None},
        }
    gain = areas["random"] - areas["contribution"]
    known = {
        key: gain for key in ("deletion", "concept_deletion", "concept_insertion") if key in found
    }
    found["gain"] = known | ({"insertion": 0.0} if "insertion" in found else {})
    found["gain_error"] = {key: 0.01 for key in found["gain"]}
    found["concept_chance"] = {name: 0.3 for name in annotated}
    return found

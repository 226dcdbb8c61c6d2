"""Writes what runs that look real are worth on damaged inputs."""

import json
from pathlib import Path

from tests.report.fake import rng
from tutelage.runs.robustness import (
    AskedCorruption,
    AskedRecord,
    DamagedScore,
    RobustnessRecord,
    key_of,
    merged,
    write_asked,
    write_robustness,
)

KINDS = ("Noise", "Drift")
SEVERITIES, DRAWS = (1, 2, 3), 2


def asked(stages=("alone", "base", "annsp"), kinds=KINDS, severities=SEVERITIES, draws=DRAWS):
    named = {
        kind: AskedCorruption(key_of(described(kind)), described(kind), f"how much {kind}",
                              tuple(f"{step / 10:g}" for step in severities))
        for kind in kinds
    }  # fmt: skip
    return AskedRecord(1, severities, draws, stages, named)


def described(kind):
    return {"type": kind, "version": 1}


def accuracy(clean, stage, kind, severity, draw, gain=0.0):
    """Falls with severity; ``base`` keeps more under noise."""
    kept = 1 - 0.12 * severity * (0.5 if kind == "Drift" else 1)
    more = gain * severity if (stage, kind) == ("base", "Noise") else 0.0
    return round(clean * kept + more - 0.01 * draw, 6)


def write_damage(folder: Path, wanted=None, gain=0.0, left_out=()) -> AskedRecord:
    """Write ``corruptions.json`` and, for every run of its stages, ``robustness.json``."""
    wanted = wanted or asked()
    write_asked(folder, wanted)
    for entry in json.loads((folder / "experiment.json").read_text())["runs"]:
        place = folder / entry["path"]
        key = entry["stage"], entry["fold"], entry["seed"]
        if (
            entry["stage"] not in wanted.stages
            or key in left_out
            or not (place / "evaluation.json").exists()
        ):
            continue
        test = json.loads((place / "evaluation.json").read_text())["test"]
        record = RobustnessRecord(1, entry["fingerprint"], "w", test["n"])
        own = gain + 0.002 * float(rng("damage", *key).normal())
        for kind in wanted.corruptions:
            scores = tuple(
                DamagedScore(step, draw, accuracy(test["accuracy"], entry["stage"], kind, step, draw, own),
                             0.5, 1.0, 0.5, 0.1, 0.1)
                for step in wanted.severities for draw in range(wanted.draws)
            )  # fmt: skip
            record = merged(record, described(kind), scores)
        write_robustness(place, record)
    return wanted

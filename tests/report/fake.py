"""Writes experiment folders that look like real ones: shared difficulty, subject effects, seeds."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HAPT = ("walking", "upstairs", "downstairs", "sitting", "standing", "lying")
GENEACTIV = (
    "walking slowly", "walking briskly", "treadmill 1 mph", "treadmill 3 mph", "treadmill 5 mph & up",
    "stairs up", "stairs down", "sitting", "standing", "lying", "typing", "brushing_teeth",
    "folding <laundry>", "stationary bike 100%",
)  # fmt: skip

STAGES = {
    # name: (modality, skill, teachers, start, parameters, macs)
    "sig": ("signal", 1.30, (), None, 510_342, 21_700_000),
    "pi": ("persistence_image", 0.90, (), None, 1_553_190, 268_000_000),
    "gaf": ("gramian_field", 1.05, (), None, 1_553_190, 268_000_000),
    "alone": ("signal", 1.00, (), None, 62_118, 2_480_000),
    "base": ("signal", 1.06, ("sig", "pi", "gaf"), None, 62_118, 2_480_000),
    "ann": ("signal", 1.16, ("sig", "pi", "gaf"), "alone", 62_118, 2_480_000),
    "annsp": ("signal", 1.24, ("sig", "pi", "gaf"), "alone", 62_118, 2_480_000),
}


@dataclass
class Fake:
    classes: tuple[str, ...] = HAPT
    folds: tuple[str, ...] = ("fold-1", "fold-2")
    seeds: tuple[int, ...] = (0, 1, 2)
    stages: tuple[str, ...] = tuple(STAGES)
    subjects_per_fold: int = 5
    windows: int = 60
    epochs: int = 20
    protocol: str = "honest"
    synthetic: bool = False
    title: str = "Three teachers for one wearable student"
    difficulty: float = 1.55
    failed: tuple[tuple[str, str, int], ...] = ()
    missing: tuple[tuple[str, str, int], ...] = ()
    running: tuple[tuple[str, str, int], ...] = ()
    skill: dict[str, float] = field(default_factory=dict)
    validation_skill: dict[str, float] = field(default_factory=dict)
    traces: dict[str, tuple[str, ...]] = field(default_factory=dict)  # stage -> names
    untrained: tuple[str, ...] = ()  # classes without training samples, where traces are recorded
    trained: int = 600
    variant: str = ""  # other runs on the same samples
    shared: tuple[str, ...] = ()  # stages that the variant leaves as they are

    def who(self, stage: str) -> str:
        return self.title if stage in self.shared else self.title + self.variant


def fingerprint(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def rng(*parts: object) -> np.random.Generator:
    return np.random.default_rng(int(fingerprint(*parts)[:12], 16))


def write(folder: Path, fake: Fake | None = None) -> Path:
    """Write ``experiment.json`` and every run folder; return the folder."""
    fake = fake or Fake()
    entries = []
    for fold in fake.folds:
        for stage in fake.stages:
            for seed in fake.seeds:
                key = (stage, fold, seed)
                identity = fingerprint(fake.who(stage), *key)
                path = f"{fold}/{stage}/seed-{seed}-{identity[:10]}"
                entries.append(
                    {
                        "stage": stage,
                        "fold": fold,
                        "seed": seed,
                        "path": path,
                        "fingerprint": identity,
                    }
                )
                if key not in fake.missing:
                    _write_run(folder / path, fake, key, identity)
    record = {
        "schema": 1,
        "name": "hapt-three-teachers",
        "recipe": "recipes/hapt/three-teachers.yaml",
        "title": fake.title,
        "resolved": {
            "data": {"type": "Hapt", "window": 128, "step": 64},
            "stages": {
                name: {"modality": STAGES[name][0], "epochs": fake.epochs, "learning_rate": 0.05}
                for name in fake.stages
            },
            "seeds": list(fake.seeds),
        },
        "data": {"name": "HAPT", "fingerprint": fingerprint("data"), "synthetic": fake.synthetic},
        "protocol": fake.protocol,
        "baseline": "alone",
        "students": [s for s in ("alone", "base", "ann", "annsp") if s in fake.stages],
        "teachers": [s for s in ("sig", "pi", "gaf") if s in fake.stages],
        "runs": entries,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment.json").write_text(json.dumps(record, indent=1))
    return folder


def _subjects(fake: Fake, fold: str) -> list[str]:
    first = fake.folds.index(fold) * fake.subjects_per_fold
    return [f"S{first + i + 1:02d}" for i in range(fake.subjects_per_fold)]


def _write_run(place: Path, fake: Fake, key: tuple[str, str, int], identity: str) -> None:
    stage, fold, seed = key
    modality, _, teachers, start, parameters, macs = STAGES[stage]
    place.mkdir(parents=True)
    status = "failed" if key in fake.failed else "running" if key in fake.running else "complete"
    failure = {"kind": "non_finite", "message": "the loss is nan", "epoch": 7, "objective": "soft"}
    subjects = _subjects(fake, fold)

    def origin(name: str) -> dict[str, str]:
        found = fingerprint(fake.who(name), name, fold, seed)
        return {"path": f"{fold}/{name}/seed-{seed}-{found[:10]}", "fingerprint": found}

    record = {
        "schema": 1,
        "status": status,
        "failure": failure if status == "failed" else None,
        "stage": stage,
        "fold": fold,
        "seed": seed,
        "fingerprint": identity,
        "config": {"epochs": fake.epochs, "train": {"epochs": fake.epochs}},
        "data": {
            "name": "HAPT",
            "fingerprint": fingerprint("data"),
            "synthetic": fake.synthetic,
            "modality": modality,
            "input_shape": [6, 128] if modality == "signal" else [6, 64, 64],
            "n_train": 6400,
            "n_validation": 900,
            "n_test": fake.subjects_per_fold * fake.windows,
            "train_subjects": [f"S{i:02d}" for i in range(11, 29)],
            "validation_subjects": ["S29", "S30"],
            "test_subjects": subjects,
            "class_names": list(fake.classes),
            "split": {"kind": "grouped", "fold": fold},
        },
        "teachers": {name: origin(name) for name in teachers if name in fake.stages},
        "start_from": {"stage": start, **origin(start)} if start else None,
        "network": {"type": "WideResNet1d", "input": "signal", "parameters": parameters, "macs": macs},
        "environment": {"python": "3.11.7", "torch": "2.7.0", "platform": "linux", "threads": 2,
                        "processor": "x86_64", "precision": "float32"},
        "code": {"version": "0.1.0", "commit": "4f1c9d2ab7", "dirty": False},
        "started": "2025-03-01T10:00:00",
        "finished": "2025-03-01T10:00:41",
        "seconds": 41.0,
        "selected": {"epoch": fake.epochs - 1, "on": "validation", "value": 0.9},
    }  # fmt: skip
    (place / "run.json").write_text(json.dumps(record))
    _write_curve(place, fake, stage, seed, fold)
    if status == "complete":
        _write_evaluation(place, fake, key, subjects)


def _write_curve(place: Path, fake: Fake, stage: str, seed: int, fold: str) -> None:
    noise = rng("curve", fake.title, stage, seed, fold)
    skill = STAGES[stage][1]
    lines = []
    for epoch in range(fake.epochs):
        done = 1 - np.exp(-(epoch + 1) / (fake.epochs / 4))
        train = 0.2 + 0.79 * done + noise.normal(0, 0.004)
        validation = 0.2 + (0.62 + 0.1 * skill) * done + noise.normal(0, 0.012)
        objectives = {"labels": 1.7 * (1 - done) + 0.03}
        if STAGES[stage][2]:
            objectives["soft"] = 2.2 * (1 - done) + 0.3
        line = {
            "epoch": epoch,
            "step": 55 * (epoch + 1),
            "learning_rate": 0.05 if epoch < 12 else 0.005,
            "train": {"loss": sum(objectives.values()), **objectives, "accuracy": min(train, 1.0)},
            "validation": {
                "loss": 1.6 * (1 - done) + 0.3 + abs(noise.normal(0, 0.02)),
                "accuracy": min(validation, 1.0),
                "macro_f1": min(validation, 1.0) - 0.01,
            },
        }
        if fake.protocol == "legacy":
            line["test"] = {"accuracy": validation - 0.02}
        if fake.traces.get(stage):
            line["traces"] = _write_traces(place, fake, (stage, fold, seed), epoch)
        lines.append(json.dumps(line))
    (place / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (place / "best.safetensors").write_bytes(b"a network")


def _write_traces(place: Path, fake: Fake, key: tuple[str, str, int], epoch: int):
    """Weights over teachers (softmax of a taste by class that sharpens) and other values."""
    stage, fold, _ = key
    names = fake.traces[stage]
    index, labels = trained(fake, fold)
    own = rng("traces", fake.title, *key, epoch)
    sharp = 1.2 * (epoch + 1) / fake.epochs
    found: dict[str, np.ndarray] = {}
    weights = [name for name in names if ".weight." in name]
    for objective in dict.fromkeys(name.split(".weight.")[0] for name in weights):
        mine = [name for name in weights if name.startswith(f"{objective}.weight.")]
        shape = (len(mine), len(fake.classes))
        taste = rng("taste", fake.title, stage, objective).normal(0, 0.8, shape)
        taste += np.linspace(0.9, 0, len(mine))[:, None] + rng("run", *key).normal(0, 0.12, shape)
        scores = sharp * taste[:, labels] + own.normal(0, 0.4, (len(mine), len(labels)))
        shares = np.exp(scores) / np.exp(scores).sum(axis=0)
        found |= dict(zip(mine, shares, strict=True))
    for name in names:
        if name not in found:
            level = 0.3 + 2.5 * rng("level", name).random() * np.exp(-epoch / 6)
            found[name] = level * own.lognormal(0, 0.3, len(labels))
    arrays = {name: values.astype(np.float32) for name, values in found.items()}
    np.savez(place / "traces.npz", index=index, **arrays)
    return {
        name: {
            "mean": float(values.mean()),
            "by_class": [
                float(values[labels == c].mean()) if (labels == c).any() else None
                for c in range(len(fake.classes))
            ],
        }
        for name, values in arrays.items()
    }


def trained(fake: Fake, fold: str):
    """Ids and labels of the training samples that traces are recorded of."""
    shared = rng("trained", fake.title, fold)
    seen = [c for c, name in enumerate(fake.classes) if name not in fake.untrained]
    return shared.permutation(9000)[: fake.trained], shared.choice(seen, fake.trained)


def _write_evaluation(
    place: Path, fake: Fake, key: tuple[str, str, int], subjects: list[str]
) -> None:
    splits = ["validation", "test"] + (["test_legacy"] if fake.protocol == "legacy" else [])
    evaluations = {}
    for split in splits:
        index, labels, owners, logits = samples(fake, key, split, subjects)
        evaluations[split] = evaluate(labels, owners, logits, fake.classes)
        np.savez(
            place / f"predictions-{split}.npz",
            index=index, labels=labels, subjects=owners, logits=logits,
        )  # fmt: skip
    (place / "evaluation.json").write_text(json.dumps(evaluations))


def samples(fake: Fake, key: tuple[str, str, int], split: str, subjects: list[str]):
    """Labels, subjects and logits; the windows and their difficulty are the same for every stage."""
    stage, fold, seed = key
    here = "test" if split.startswith("test") else split
    people = subjects if here == "test" else ["S29", "S30"]
    shared = rng("samples", fake.title, fold, here)
    count, size = len(people) * fake.windows, len(fake.classes)
    labels = shared.integers(0, size, count)
    owners = np.repeat(people, fake.windows)
    near = np.exp(-np.abs(np.subtract.outer(np.arange(size), np.arange(size))) / 0.9)
    ease = np.repeat(shared.normal(0, 0.35, len(people)), fake.windows)
    hard = shared.normal(0, 1.0, (count, size))
    own = rng("network", fake.who(stage), stage, fold, seed, here)
    skill = fake.skill.get(stage, STAGES[stage][1]) + own.normal(0, 0.02)
    skill += 0.05 if split == "test_legacy" else 0.0
    skill = fake.validation_skill.get(stage, skill) if split == "validation" else skill
    signal = (3.4 * skill + ease)[:, None] * near[labels]
    logits = signal + fake.difficulty * hard + own.normal(0, 0.55, (count, size))
    index = np.arange(count) + 1000 * fake.folds.index(fold)
    return index, labels, owners, (1.3 * logits).astype(np.float32)


def evaluate(labels, owners, logits, classes):
    size = len(classes)
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    predicted = logits.argmax(1)
    confusion = np.zeros((size, size), int)
    np.add.at(confusion, (labels, predicted), 1)
    right = predicted == labels
    confidence = probabilities.max(1)
    bins = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
    ece = sum(
        (bins == b).mean() * abs(right[bins == b].mean() - confidence[bins == b].mean())
        for b in range(15)
        if (bins == b).any()
    )
    precision, recall, f1 = _scores(confusion)
    support = confusion.sum(1)
    onehot = np.eye(size)[labels]
    return {
        "n": len(labels),
        "accuracy": float(right.mean()),
        "macro_f1": float(f1[support > 0].mean()),
        "nll": float(-np.log(probabilities[np.arange(len(labels)), labels]).mean()),
        "brier": float(((probabilities - onehot) ** 2).sum(1).mean()),
        "ece": float(ece),
        "classwise_ece": float(ece) / size,
        "per_class": {
            name: {"precision": float(precision[c]), "recall": float(recall[c]),
                   "f1": float(f1[c]), "support": int(support[c])}
            for c, name in enumerate(classes)
        },
        "per_subject": {
            str(s): {"accuracy": float(right[owners == s].mean()), "macro_f1": 0.5,
                     "n": int((owners == s).sum())}
            for s in np.unique(owners)
        },
        "confusion": confusion.tolist(),
    }  # fmt: skip


def _scores(confusion):
    hits = np.diag(confusion)
    precision = hits / np.maximum(confusion.sum(0), 1)
    recall = hits / np.maximum(confusion.sum(1), 1)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def example_window(seed: int = 0):
    """A window with made-up images of the right look."""
    from tutelage.report import ExampleWindow

    noise = np.random.default_rng(seed)
    time = np.arange(128) / 50
    signal = np.stack(
        [np.sin(2 * np.pi * (1.7 + 0.2 * c) * time + c) * (1 - 0.12 * c) for c in range(6)]
    )
    signal += noise.normal(0, 0.08, signal.shape)
    births = noise.uniform(-1, 0.2, 14)
    deaths = births + np.abs(noise.gamma(1.2, 0.35, 14)) + 0.02
    grid = np.linspace(0, 1, 64)
    image = np.zeros((64, 64))
    for birth, death in zip(births, deaths, strict=True):
        x, y = (birth + 1) / 2, (death - birth) / 2
        image += (death - birth) * np.exp(
            -((grid[None, :] - x) ** 2 + (grid[:, None] - y) ** 2) / 0.002
        )
    angle = np.arccos(np.clip(np.interp(grid, np.linspace(0, 1, 128), signal[0]), -1, 1))
    return ExampleWindow(
        signal=signal,
        rate=50.0,
        channel_names=("acc x", "acc y", "acc z", "gyro x", "gyro y", "gyro z"),
        class_name="walking",
        subject="S03",
        images={
            "persistence_image": np.stack([image] * 6),
            "gramian_field": np.stack([np.cos(angle[:, None] + angle[None, :])] * 6),
        },
        diagram=(births, deaths),
    )

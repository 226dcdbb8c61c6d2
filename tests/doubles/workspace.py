"""A tiny student with a workspace, and mGLW-KD once more in NumPy: slowly, in float64, from its description."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tutelage.models import LatentWorkspace
from tutelage.models._layers import Staged, average, convolution
from tutelage.recipe.instantiate import build
from tutelage.types import Batch, Clock, Facts, Output, View

CLASSES = 5
TAPS = ("stage1", "stage2", "stage3")


class Tiny(Staged):
    """Three convolutions, and the head of a WideResNet: norm, ReLU, mean over space, linear."""

    last = "stage3"

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        widths: tuple[int, int, int] = (3, 4, 6),
        dimensions: int = 1,
    ):
        super().__init__(dimensions)
        self.stem = nn.Identity()
        self.stages = nn.ModuleList()
        for width, stride in zip(widths, (1, 2, 2), strict=True):
            layer = convolution(channels, width, 3, dimensions, stride=stride)
            self.stages.append(nn.Sequential(layer, nn.BatchNorm2d(width), nn.Tanh()))
            channels = width
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, classes)

    def embed(self, x):
        return average(F.relu(self.norm(x)))


@dataclass(frozen=True)
class Case:
    """Sizes of one comparison with the slow version; the student's last stage is [6, 4] for an input [2, 16]."""

    teachers: dict  # name -> channels, then space of the last stage
    shares: dict | None = None  # of the teachers' tokens in an update (beta)
    tokens: str = "channels"
    shape: tuple = (2, 16)
    heads: int = 2
    slots: int = 3
    count: int | None = None
    size: int | None = None
    iterations: int = 3
    floor: object = 0.1
    cap: object = 0.9
    more: str = "closer"
    samples: int = 4


COEFFICIENTS = {"labels": 0.3, "soft": 0.7, "relations": 0.35, "similarity": 20.0, "alignment": 2.0}
TEMPERATURE = 4.0


def network_of(case, seed=0, **more):
    torch.manual_seed(seed)
    inner = Tiny(case.shape[0], CLASSES, dimensions=len(case.shape) - 1)
    return LatentWorkspace(
        case.shape,
        network=inner,
        slots=case.slots,
        heads=case.heads,
        tokens=case.tokens,
        size=case.size,
        count=case.count,
        **more,
    )


def scrambled(module, seed):
    """The module with every number in it drawn anew: nothing that starts as 0 or 1 may hide."""
    random = torch.Generator().manual_seed(seed)
    for value in (*module.parameters(), *module.buffers()):
        if value.is_floating_point() and value.ndim:
            value.data = 0.6 * torch.randn(value.shape, generator=random, dtype=value.dtype)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_var = part.running_var.abs() + 0.5
    return module


def outputs_of(case, seed=0):
    """Teachers of formulaless numbers, float64."""
    random = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    found = {}
    for name, (channels, *space) in case.teachers.items():
        features = {
            tap: drawn(case.samples, channels - 2 + i, *space) for i, tap in enumerate(TAPS)
        }
        found[name] = Output(2 * drawn(case.samples, CLASSES), features)
    return found


def view_of(case, network, seed=0):
    """What an objective sees of a network and of the teachers of a case."""
    random = torch.Generator().manual_seed(seed + 1)
    x = torch.randn(case.samples, *case.shape, generator=random, dtype=torch.float64)
    dtype = next(network.parameters()).dtype
    labels = torch.randint(0, CLASSES, (case.samples,), generator=random)
    teachers = {
        name: Output(o.logits.to(dtype), {k: f.to(dtype) for k, f in o.features.items()})
        for name, o in outputs_of(case, seed).items()
    }
    batch = Batch({"signal": x.to(dtype)}, labels, torch.arange(case.samples))
    return View(network(x.to(dtype)), teachers, batch, Clock())


def described(case, **more):
    """The whole loss of the paper as a recipe would state it."""
    closeness = {"type": "Closeness", "floor": case.floor, "cap": case.cap, "more": case.more}
    terms = {
        "soft": {"type": "SoftTargets", "temperature": TEMPERATURE},
        "relations": {"type": "ClassRelations", "temperature": TEMPERATURE},
        "similarity": {"type": "SimilarityMap", "taps": list(TAPS)},
    }
    inner = {
        name: {
            "type": "PerTeacher",
            "term": term,
            "weighting": closeness,
            "coefficient": COEFFICIENTS[name],
        }
        for name, term in terms.items()
    }
    return {
        "type": "KnowledgeBinding",
        "objectives": {
            "labels": {"type": "Labels", "coefficient": COEFFICIENTS["labels"]},
            **inner,
        },
        "weights": case.shares,
        "alignment": COEFFICIENTS["alignment"],
        "iterations": case.iterations,
        **more,
    }


def facts_of(view, network):
    return Facts(view, torch.ones(CLASSES, dtype=torch.int64), student=network)


def prepared(case, network, description=None, seed=0, dtype=torch.float64):
    """The objective on a network, every parameter drawn anew; both in evaluation mode."""
    network.float().eval()
    objective = build("tutelage.objectives", description or described(case), "here")
    objective.prepare(facts_of(view_of(case, network, seed), network))
    network.to(dtype)
    return scrambled(objective, seed + 7).to(dtype).eval()


def made(case, seed=0, dtype=torch.float64, **more):
    """Network, objective and view of a case."""
    network = scrambled(network_of(case, seed), seed + 3)
    objective = prepared(case, network, described(case, **more), seed, dtype)
    return network, objective, view_of(case, network, seed)


# mGLW-KD from its description: NumPy, one sample, one teacher, one slot after the other.


def numbers(module):
    return {
        name: value.detach().double().numpy().copy() for name, value in module.state_dict().items()
    }


def below(state, path):
    return {k.removeprefix(path): v for k, v in state.items() if k.startswith(path)}


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def layer_norm(x, weight, bias):
    """Over as many last axes as the weight has."""
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + 1e-5) * weight + bias


def tokens_of(sample, kind):
    """[channels, ...] -> L tokens of D numbers."""
    flat = sample.reshape(sample.shape[0], -1)
    return flat if kind == "channels" else flat.T


def fewer(x, p):
    """Another number of tokens: two layers over the token axis, LayerNorm over both axes."""
    mixed = np.maximum(x.T @ p["mix.0.weight"].T + p["mix.0.bias"], 0)
    mixed = mixed @ p["mix.2.weight"].T + p["mix.2.bias"]
    return layer_norm(mixed.T, p["norm.weight"], p["norm.bias"])


def keys_and_values(sample, p, kind):
    """One sample of one teacher."""
    x = tokens_of(sample, kind) + p["position"]
    if "fewer.mix.0.weight" in p:
        x = fewer(x, below(p, "fewer."))
    x = layer_norm(x, p["norm.weight"], p["norm.bias"])
    return x @ p["key.weight"].T, x @ p["value.weight"].T


def gru(u, h, p):
    """One slot: reset gate, update gate, candidate."""

    def gate(x):
        return 1 / (1 + np.exp(-x))

    i = (p["weight_ih"] @ u + p["bias_ih"]).reshape(3, -1)
    g = (p["weight_hh"] @ h + p["bias_hh"]).reshape(3, -1)
    reset, update = gate(i[0] + g[0]), gate(i[1] + g[1])
    candidate = np.tanh(i[2] + reset * g[2])
    return (1 - update) * candidate + update * h


def bind(slots, samples, shares, p, kind, iterations):
    """Refined slots [K, D] of one sample, and per teacher KIS [K, L] and its token-normalised version."""
    found = {n: keys_and_values(x, below(p, f"sources.{n}."), kind) for n, x in samples.items()}
    s = slots.copy()
    for _ in range(iterations):
        q = layer_norm(s, p["norm.weight"], p["norm.bias"]) @ p["query.weight"].T
        kis, rows, u = {}, {}, np.zeros_like(s)
        for name, (k, v) in found.items():
            kis[name] = softmax(q @ k.T / np.sqrt(s.shape[1]), axis=0)
            rows[name] = np.zeros_like(kis[name])
            for slot in range(len(s)):
                rows[name][slot] = kis[name][slot] / (kis[name][slot].sum() + 1e-8)
                u[slot] += shares[name] * sum(
                    w * x for w, x in zip(rows[name][slot], v, strict=True)
                )
        s = np.stack([gru(u[k], s[k], below(p, "update.")) for k in range(len(s))])
    return s, kis, rows


def transfer(sample, slots, p, heads, kind):
    """The feature of one sample with what its tokens read, and KTS [L, K]."""
    own = tokens_of(sample, kind)
    asked = fewer(own, below(p, "fewer.")) if "fewer.mix.0.weight" in p else own
    q, k, v = asked @ p["query.weight"].T, slots @ p["key.weight"].T, slots @ p["value.weight"].T
    parts, scores = [], []
    for h in range(heads):
        mine = slice(h * q.shape[1] // heads, (h + 1) * q.shape[1] // heads)
        theirs = slice(h * v.shape[1] // heads, (h + 1) * v.shape[1] // heads)
        score = softmax(q[:, mine] @ k[:, mine].T / np.sqrt(q.shape[1] / heads), axis=1)
        scores.append(score)
        parts.append(score @ v[:, theirs])
    read = np.concatenate(parts, axis=1)
    if "more.weight" in p:
        read = (read.T @ p["more.weight"].T).T
    read = read if kind == "channels" else read.T
    return sample + read.reshape(sample.shape), np.mean(scores, axis=0)


def decode(sample, p, mean, variance):
    """Logits of one sample: final norm in evaluation mode, ReLU, mean over space, linear."""
    x = sample.reshape(len(sample), -1)
    x = (x - mean[:, None]) / np.sqrt(variance[:, None] + 1e-5)
    x = x * p["norm.weight"][:, None] + p["norm.bias"][:, None]
    return p["head.weight"] @ np.maximum(x, 0).mean(axis=1) + p["head.bias"]


def soft(zs, zt, temperature):
    p, q = softmax(zt / temperature, 1), softmax(zs / temperature, 1)
    return temperature**2 * (p * (np.log(p) - np.log(q))).sum(axis=1).mean()


def pearson(a, b):
    a, b = a - a.mean(), b - b.mean()
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-8)


def relations(zs, zt, temperature):
    """DIST: one minus the correlation over the classes of a sample, and over the samples of a class."""
    a, b = softmax(zs / temperature, 1), softmax(zt / temperature, 1)
    inter = 1 - np.mean([pearson(x, y) for x, y in zip(a, b, strict=True)])
    intra = 1 - np.mean([pearson(x, y) for x, y in zip(a.T, b.T, strict=True)])
    return temperature**2 * (inter + intra)


def similarity(fs, ft):
    """SP: squared Frobenius distance of the row-normalised similarity maps over B²."""

    def normed(f):
        flat = f.reshape(len(f), -1)
        g = flat @ flat.T
        return g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-12)

    return ((normed(fs) - normed(ft)) ** 2).sum() / len(fs) ** 2


def clipped(raw, low, high):
    """clip(c · raw, low, high) that sums to one, by bisection."""
    raw, low, high = (np.asarray(x, dtype=np.float64) for x in (raw, low, high))
    left, right = 0.0, 2.0
    while np.clip(right * raw, low, high).sum() < 1 and right < 1e300:
        right *= 2
    for _ in range(150):
        middle = (left + right) / 2
        if np.clip(middle * raw, low, high).sum() < 1:
            left = middle
        else:
            right = middle
    return np.clip(right * raw, low, high)


def coefficients(distances, case):
    """The dynamic coefficient of each teacher."""
    names = list(distances)
    if len(names) == 1:
        return {names[0]: 1.0}
    low = [case.floor.get(n, 0) if isinstance(case.floor, dict) else case.floor for n in names]
    high = [case.cap.get(n, 1) if isinstance(case.cap, dict) else case.cap for n in names]
    if len(names) == 2:
        first, second = distances.values()
        raw = second if case.more == "closer" else first
        raw = raw / (first + second) if first + second else 0.5
        # Bounds of the second teacher are those of 1 - alpha.
        alpha = max(low[0], 1 - high[1], min(high[0], 1 - low[1], raw))
        return dict(zip(names, (alpha, 1 - alpha), strict=True))
    d = np.array(list(distances.values()))
    raw = 1 / d if case.more == "closer" else d
    return dict(zip(names, clipped(raw / raw.sum(), low, high), strict=True))


def slowly(case, network, objective, view):
    """Everything one forward pass in evaluation mode finds, as the paper's scalars over the batch."""
    p, b = numbers(network), numbers(objective)
    own = {k: f.detach().double().numpy() for k, f in view.student.features.items()}
    teachers = {
        n: {k: f.detach().double().numpy() for k, f in t.features.items()}
        for n, t in view.teachers.items()
    }
    shares = case.shares or dict.fromkeys(case.teachers, 1 / len(case.teachers))
    slots, kis, rows, kts, enriched, logits = [], [], [], [], [], []
    for i in range(len(own["stage3"])):
        samples = {n: features["stage3"][i] for n, features in teachers.items()}
        s, a, r = bind(p["slots"], samples, shares, b, case.tokens, case.iterations)
        e, t = transfer(own["stage3"][i], s, p, case.heads, case.tokens)
        statistics = b["statistics.0.running_mean"], b["statistics.0.running_var"]
        logits.append(decode(e, below(p, "network."), *statistics))
        for found, one in zip((slots, kis, rows, kts, enriched), (s, a, r, t, e), strict=True):
            found.append(one)
    z, kts = np.stack(logits), np.stack(kts)
    kis = {n: np.stack([one[n] for one in kis]) for n in teachers}
    distances = {n: ((kts - kis[n].transpose(0, 2, 1)) ** 2).mean() for n in teachers}
    weights = coefficients(distances, case)
    labels = view.batch.labels.numpy()
    targets = {n: t.logits.detach().double().numpy() for n, t in view.teachers.items()}
    parts = {
        "labels": -np.mean([np.log(softmax(row, 0)[y]) for row, y in zip(z, labels, strict=True)]),
        "soft": sum(weights[n] * soft(z, t, TEMPERATURE) for n, t in targets.items()),
        "relations": sum(weights[n] * relations(z, t, TEMPERATURE) for n, t in targets.items()),
        "similarity": sum(
            weights[n] * similarity(own[tap], features[tap])
            for n, features in teachers.items()
            for tap in TAPS
        ),
        "alignment": sum(distances.values()),
    }
    return {
        "slots": np.stack(slots),
        "kis": kis,
        "rows": {n: np.stack([one[n] for one in rows]) for n in teachers},
        "kts": kts,
        "enriched": np.stack(enriched),
        "logits": z,
        "distances": distances,
        "weights": weights,
        "parts": parts,
        "total": sum(COEFFICIENTS[name] * value for name, value in parts.items()),
    }


def with_teachers(view, teachers):
    return replace(view, teachers=teachers)

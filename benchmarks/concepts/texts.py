"""Accuracy at matched sparsity of concepts and of words that mean nothing, on the same samples."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as F

from benchmarks.concepts.spaces import Space, vocabulary
from tutelage.interpret import SparseLayer, area, at_levels, matching_layers, sparse_path
from tutelage.models import ConceptBottleneck

LEVELS = (1, 2, 3, 4, 5)
PUBLISHED = (5, 10, 15, 20, 25, 30)
THRESHOLD = 0.5  # standard deviations above the mean
STEPS, RATE = 100, 1e-2  # of LaBo, as its recipes say


def words(count: int, draw: int) -> list[str]:
    """Return words drawn from CLIP's vocabulary."""
    known = vocabulary()
    rng = torch.Generator().manual_seed(draw)
    return [known[i] for i in torch.randperm(len(known), generator=rng)[:count].tolist()]


def salad(texts: Sequence[str], draw: int) -> list[str]:
    """Return the words of all texts in random order, as many in each as there were."""
    every = [word for text in texts for word in text.split()]
    rng = torch.Generator().manual_seed(draw)
    order = iter(torch.randperm(len(every), generator=rng).tolist())
    return [" ".join(every[next(order)] for _ in text.split()) for text in texts]


def directions(space: Space, draw: int) -> Tensor:
    """Return random unit vectors, as many as concepts."""
    rng = torch.Generator().manual_seed(draw)
    return F.normalize(torch.randn(len(space.texts), space.samples.shape[1], generator=rng), dim=1)


def contrast(train: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return both, each column less its mean over training samples, in their standard deviations."""
    mean, spread = train.mean(dim=0), train.std(dim=0).clamp_min(1e-6)
    return (train - mean) / spread, (other - mean) / spread


class Trial:
    """One draw: training samples, test samples, random words.

    Args:
        space: samples and concepts.
        fold: that is tested on.
        draw: of training samples and of everything random.
    """

    def __init__(self, space: Space, fold: int, draw: int) -> None:
        self.space, self.draw = space, draw
        self.train, self.test = space.sides(fold, draw)
        self.labels = space.labels[self.train], space.labels[self.test]
        self.named = space.embed(space.texts)
        self.vectors = {
            "concepts": self.named,
            "words": space.embed(words(len(space.texts), draw)),
            "salad": space.embed(salad(space.texts, draw)),
            "directions": directions(space, draw),
        }

    def values(self, vectors: Tensor, relevance: str) -> tuple[Tensor, Tensor]:
        """Return what training and test samples have in common with texts."""
        x = self.space.samples
        a, b = contrast(x[self.train] @ vectors.mT, x[self.test] @ vectors.mT)
        if relevance == "none":
            return a, b
        if relevance == "threshold":
            return contrast((a - THRESHOLD).relu(), (b - THRESHOLD).relu())
        return contrast((2 * a).softmax(dim=1), (2 * b).softmax(dim=1))

    def rows(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Yield the accuracy by number of effective concepts of every row."""
        for name, vectors in self.vectors.items():
            yield f"none/{name}", self._matched(vectors, "none")
            yield f"threshold/{name}", self._matched(vectors, "threshold")
        for name in ("concepts", "words"):
            yield f"softmax/{name}", self._matched(self.vectors[name], "softmax")
        order = torch.randperm(len(self.named), generator=torch.Generator().manual_seed(self.draw))
        owners = self.space.owners
        for name, allowed in (("names", owners), ("shuffled", owners[:, order])):
            yield f"owned/{name}", self._matched(self.named, "none", allowed)
        probe = self._probe()
        yield "probe", {"all": self._right(probe(self.space.samples[self.test]))}
        taught = probe(self.space.samples[self.train]).softmax(dim=1)
        for name in ("concepts", "words"):
            yield f"taught/{name}", self._matched(self.vectors[name], "none", targets=taught)
            yield f"path/{name}", self._path(self.vectors[name])
        yield "labo/concepts", self._labo(self.named, owners)
        yield "labo/shuffled", self._labo(self.named, owners[:, order])
        yield "labo/words", self._labo(self.vectors["words"], owners)

    def _right(self, logits: Tensor) -> float:
        return float((logits.argmax(dim=1) == self.labels[1]).double().mean())

    def _matched(
        self,
        vectors: Tensor,
        relevance: str,
        allowed: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> dict[str, float]:
        a, b = self.values(vectors, relevance)
        layers = matching_layers(
            a, self.labels[0] if targets is None else targets, level=LEVELS[-1],
            allowed=allowed, positive=allowed is not None, iterations=50,
        )  # fmt: skip
        return {
            str(k): one.accuracy(b, self.labels[1]) for k, one in zip(LEVELS, layers, strict=True)
        }

    def _path(self, vectors: Tensor) -> dict[str, float]:
        """Return the accuracies of the published protocol, and their mean."""
        a, b = self.values(vectors, "none")
        levels = [k for k in PUBLISHED if k <= a.shape[1]]
        path = sparse_path(a, self.labels[0], level=levels[-1], iterations=60)
        found = {k: one.accuracy(b, self.labels[1]) for k, one in at_levels(path, levels).items()}
        return {str(k): value for k, value in found.items()} | {"mean": area(found)}

    def _probe(self) -> Callable[[Tensor], Tensor]:
        """Return logistic regression on embeddings: what a dense layer on any words of full rank can do."""
        x = self.space.samples[self.train]
        mean, spread = x.mean(dim=0), x.std(dim=0).clamp_min(1e-6)
        fitted = LogisticRegression(C=0.1, max_iter=300)
        fitted.fit(((x - mean) / spread).numpy(), self.labels[0].numpy())
        weights, bias = (torch.from_numpy(a).float() for a in (fitted.coef_, fitted.intercept_))
        if len(weights) == 1:  # of two classes scikit-learn keeps one row
            weights, bias = torch.cat([-weights, weights]) / 2, torch.cat([-bias, bias]) / 2
        return lambda other: (other - mean) / spread @ weights.mT + bias

    def _labo(self, vectors: Tensor, owners: Tensor) -> dict[str, float]:
        """Return the accuracies of a bottleneck as published, trained densely and pruned."""
        names = [str(i) for i in range(owners.shape[0])]
        said = {
            str(m): [names[c] for c in owners[:, m].nonzero()[:, 0].tolist()]
            for m in range(len(vectors))
        }
        network = ConceptBottleneck(vectors.shape[1], names, selected=said)
        network.own(said, vectors)
        optimizer = torch.optim.Adam(network.parameters(), RATE)
        x, y = self.space.samples, self.labels[0]
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.cross_entropy(network(x[self.train]).logits, y).backward()
            optimizer.step()
        with torch.no_grad():
            usual, values = network.values(x[self.train]).mean(dim=0), network.values(x[self.test])
            weights = network.scale * network.association
            dense = SparseLayer(weights, weights.new_zeros(len(weights)), 0.0)
            # What is pruned adds what it adds on average, else a class that keeps more has the higher score.
            few = {str(k): dense.pruned(k) for k in LEVELS}
            few = {k: replace(one, bias=(weights - one.weights) @ usual) for k, one in few.items()}
            return {
                k: one.accuracy(values, self.labels[1]) for k, one in (few | {"all": dense}).items()
            }

"""Which concepts a bottleneck is built of: per class, candidates that tell classes apart and cover the others."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.concepts.concept import ConceptSet
from tutelage.concepts.greedy import Likeness, Picks, lazy_greedy, likeness
from tutelage.concepts.scores import Scale, Score, Values, class_means, concept_scores, scaled
from tutelage.errors import UserError


@dataclass(frozen=True)
class Criterion:
    """What makes a good set of concepts of one class.

    ``discriminability * Σ_{c in set} score(c) + coverage * Σ_{c1 of the class} max_{c2 in set} likeness(c1, c2)``

    Args:
        discriminability: coefficient of the scores; 0 leaves coverage alone.
        coverage: coefficient of the coverage; 0 takes the concepts of highest score.
        score: ``mutual_information`` (released code) or ``negative_entropy`` (paper).
        values: how similarities become positive for the score's logarithm: ``softmax``, ``shift`` or ``raw``.
        temperature: of ``softmax``.
        scale: of the scores within a class: ``range`` and ``rank`` bring them to [0, 1].
        likeness: of two concepts: ``cosine`` or ``squared_cosine``.
        normalise: similarities are cosines; without it inner products, as released.

    Source:
        Yang et al. 2023, LaBo, arXiv:2211.11158, sec. 3. Released settings: ``Criterion(1e7, beta, values="raw",
        scale="raw", likeness="squared_cosine", normalise=False)`` (1e8 on ImageNet), with a beta per data set and
        number of shots from 0 to 100, most often 1 to 10. There a score times 1e7 spans 0 to about 50, here 0 to 1
        times ``discriminability``: hence the default ratio of 10.
    """

    discriminability: float = 10.0
    coverage: float = 1.0
    score: Score = "mutual_information"
    values: Values = "softmax"
    temperature: float = 0.05
    scale: Scale = "range"
    likeness: Likeness = "cosine"
    normalise: bool = True

    def __post_init__(self) -> None:
        for name in ("discriminability", "coverage"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name}: {getattr(self, name)}, but it must be 0 or more")

    def scores(self, embeddings: Tensor, labels: Tensor, concepts: Tensor, classes: int) -> Tensor:
        """Score every concept by training samples.

        Args:
            embeddings: of images or windows, [n, D].
            labels: class of each, [n].
            concepts: text embeddings, [M, D].
            classes: number of classes.

        Returns:
            [M], float64.

        Raises:
            UserError: as `class_means` and `concept_scores`.
        """
        means = class_means(embeddings, labels, classes, normalise=self.normalise)
        texts = F.normalize(concepts, dim=1) if self.normalise else concepts
        return concept_scores(
            means, texts, self.score, values=self.values, temperature=self.temperature
        )

    def weighed(self, scores: Tensor, concepts: Tensor) -> tuple[Tensor, Tensor]:
        """Return both parts of the objective for the candidates of one class, coefficients included.

        Args:
            scores: of the candidates, [n].
            concepts: their text embeddings, [n, D].

        Returns:
            What each brings by itself, [n], and what it covers, [n, n]: the arguments of `lazy_greedy`.
        """
        brings = self.discriminability * scaled(scores, self.scale)
        return brings.cpu(), self.coverage * likeness(concepts, self.likeness).double().cpu()


@dataclass(frozen=True)
class Selection:
    """The concepts taken.

    Attributes:
        picks: one per class; ``order`` holds places among all M concepts.
        concepts: places of all concepts taken by any class, ascending, [N_C]; a concept of several classes is
            there once.
    """

    picks: tuple[Picks, ...]
    concepts: Tensor


def select_concepts(
    scores: Tensor,
    concepts: Tensor,
    candidates: Sequence[Sequence[int]],
    count: int,
    criterion: Criterion | None = None,
) -> Selection:
    """Take ``count`` candidates of each class, each class for itself.

    Args:
        scores: of all concepts, [M], for example from `Criterion.scores`.
        concepts: text embeddings, [M, D].
        candidates: for each class the places of its candidates among the M concepts; a concept may be a candidate
            of several classes, and each of them may take it.
        count: how many of each class; a class with fewer gives all it has, with a warning.
        criterion: how to choose; by default `Criterion()`.

    Returns:
        The selection, the same for the same numbers.

    Raises:
        UserError: a class without candidates, a candidate twice in one class or outside the M concepts, ``count``
            below 1, or an embedding that is not finite.

    Source:
        Yang et al. 2023, LaBo. Released code credits a concept of several classes to the first class alone.
    """
    _check(scores, concepts, candidates, count)
    rule = criterion or Criterion()
    picks = []
    for own in candidates:
        places = torch.as_tensor(own, dtype=torch.long, device=concepts.device)
        texts = concepts[places]
        if not bool(texts.isfinite().all()):
            raise UserError("concepts: not all numbers of the embeddings are finite")
        brings, covers = rule.weighed(scores[places.to(scores.device)], texts)
        found = lazy_greedy(brings.numpy(), covers.numpy(), count)
        order = tuple(int(own[i]) for i in found.order)
        picks.append(Picks(order, found.gains, found.evaluations))
    few = [i for i, own in enumerate(candidates) if len(own) < count]
    if few:
        warnings.warn(
            f"{len(few)} of {len(candidates)} classes have fewer than {count} candidates, and all of theirs are "
            f"taken (class {few[0]} has {len(candidates[few[0]])})",
            stacklevel=2,
        )
    return Selection(tuple(picks), torch.tensor(sorted({c for p in picks for c in p.order})))


def choose(
    concepts: ConceptSet,
    texts: Tensor,
    embeddings: Tensor,
    labels: Tensor,
    count: int,
    criterion: Criterion | None = None,
) -> ConceptSet:
    """Return the concepts that make the bottleneck, in the order of the set.

    Args:
        concepts: all candidates; each is one of every class that owns it.
        texts: embeddings of the concepts' texts, [M, D].
        embeddings: of images or windows of the training split, [n, D].
        labels: class of each, [n], in the order of ``concepts.classes``.
        count: how many of each class.
        criterion: how to choose; by default `Criterion()`.

    Raises:
        UserError: as `Criterion.scores` and `select_concepts`.
    """
    rule = criterion or Criterion()
    candidates: dict[str, list[int]] = {name: [] for name in concepts.classes}
    for place, concept in enumerate(concepts.concepts):
        for owner in concept.owners:
            candidates[owner].append(place)
    scores = rule.scores(embeddings, labels, texts, len(concepts.classes))
    found = select_concepts(scores, texts, list(candidates.values()), count, rule)
    return concepts.take(found.concepts.tolist())


def _check(
    scores: Tensor, concepts: Tensor, candidates: Sequence[Sequence[int]], count: int
) -> None:
    if count < 1:
        raise UserError(f"count: {count} concepts of each class; at least 1 is needed")
    if len(scores) != len(concepts):
        raise UserError(f"scores: {len(scores)} for {len(concepts)} concepts")
    for i, own in enumerate(candidates):
        if not len(own):
            raise UserError(f"candidates: class {i} has none")
        if len(set(own)) < len(own):
            raise UserError(f"candidates: class {i} lists a concept twice")
        if not 0 <= min(own) <= max(own) < len(concepts):
            raise UserError(
                f"candidates: class {i} lists {min(own)} to {max(own)} of {len(concepts)} concepts"
            )

"""Classes as weighted sums of what an input has in common with named concepts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.concepts.files import open_concepts
from tutelage.concepts.selection import Criterion, select_concepts
from tutelage.errors import UserError, unknown
from tutelage.models.network import Network, concept_numbers
from tutelage.types import ConceptStream, Explanation, Output
from tutelage.vlm.base import EncoderSource

Softmax = Literal["concepts", "classes", "none"]
Relevance = Literal["none", "contrast", "threshold"]
_AXIS = {"concepts": 1, "classes": 0}
STREAM = "text"
_FLAT = 1e-6  # a similarity that varies less is the same for all


class ConceptBottleneck(Network):
    """A bottleneck of named concepts on the embeddings of a dual encoder (LaBo).

    Each concept is a short text. Its value is the similarity of the input to that text, and a class score is a sum
    over concepts: ``scale * value * weight``. What is trained are the weights alone. Before training,
    :meth:`fit_once` chooses the concepts by training samples.

    Args:
        channels: size of an embedding; follows from the data.
        class_names: follow from the data.
        encoder: the dual encoder whose text tower embeds the concepts; that of the stage's input, unless that was
            made elsewhere (``Stored``).
        concepts: name of a shipped set, or a file of concepts.
        ownership: of a concept that several classes list: ``all`` of them own it; or the ``first`` in the order of
            the file alone, with concepts in alphabetical order, as released.
        per_class: how many concepts of each class are chosen; all of a class that has fewer.
        choice: ``criterion``: those that tell classes apart and cover the rest; ``random``: as many at random, a
            control; ``all``: every one.
        criterion: of the choice.
        prior: what the weights are at the start. ``language``: ``prior_weight`` where the text was said of the
            class, 0 elsewhere; ``random``: Kaiming's, a control.
        prior_weight: of the language prior.
        softmax: over which axis weights are normalised: the ``concepts`` of a class, the ``classes`` of a concept,
            or ``none``.
        similarity: ``cosine``; or ``inner_product`` of embeddings as they are, as released.
        scale: of the class scores; 100 is CLIP's.
        relevance: what a similarity is worth. ``none``: itself. ``contrast``: how far it lies above its mean over
            the training samples, in their standard deviations. ``threshold``: how far that lies above
            ``threshold``, else 0: no linear function of the embedding any more, so that the layer is no linear
            probe whatever the concepts are called.
        threshold: in standard deviations.
        selected: concept -> the classes that own it. Settled by the data: a checkpoint states it.

    Shapes:
        [B, channels] -> logits [B, N]; features ``concepts`` [B, M], the values, and ``embedding`` [B, channels].

    Raises:
        ValueError: fewer than one concept per class, or a scale that is not positive.

    Source:
        Yang et al. 2023, Language in a Bottle, CVPR, arXiv:2211.11158; code YueYANG1996/LaBo@83ed4b0
        (``asso_opt.py``), where a softmax over concepts, prior 1 and scale 100 are published. Differs from the
        code: cosine by default, where the code takes inner products of embeddings of norm 10 or so times 100; a
        concept of several classes has a prior in each, where the code credits the first class alone
        (``ownership: first``). L1 and
        diversity terms of the code, off in all its settings, are left out.
    """

    vectors: Tensor
    owners: Tensor
    weights: nn.Parameter
    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        channels: int,
        class_names: Sequence[str],
        encoder: EncoderSource | None = None,
        *,
        concepts: str = "",
        ownership: Literal["all", "first"] = "all",
        per_class: int = 50,
        choice: Literal["criterion", "random", "all"] = "criterion",
        criterion: Criterion | None = None,
        prior: Literal["language", "random"] = "language",
        prior_weight: float = 1.0,
        softmax: Softmax = "concepts",
        similarity: Literal["cosine", "inner_product"] = "cosine",
        scale: float = 100.0,
        relevance: Relevance = "none",
        threshold: float = 0.0,
        selected: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__()
        if per_class < 1:
            raise ValueError(f"per_class: {per_class}; allowed: at least 1")
        if not scale > 0:
            raise ValueError(f"scale: {scale}; allowed: above 0")
        self.channels, self.class_names = channels, tuple(class_names)
        self.encoder, self.file, self.ownership = encoder, concepts, ownership
        self.per_class, self.choice = per_class, choice
        self.criterion = criterion or Criterion()
        self.prior, self.prior_weight = prior, prior_weight
        self.softmax: Softmax = softmax
        self.similarity, self.scale = similarity, scale
        self.relevance, self.threshold = relevance, threshold
        self.untrained = False
        self.selected: dict[str, tuple[str, ...]] = {}
        if selected is not None:
            self.own(selected, torch.zeros(len(selected), channels))
            self._begin()

    @classmethod
    def content(cls, described: Mapping[str, Any]) -> str:
        """Return what a run depends on besides this network's arguments: the concepts in the file they name."""
        file = described.get("concepts", "")
        return open_concepts(file).fingerprint if file else ""

    def fit_once(
        self, inputs: Tensor, labels: Tensor, class_names: Sequence[str]
    ) -> dict[str, Any]:
        """Choose the concepts by training samples, [n, channels]; weights begin anew.

        Classes without a sample do not count for the criterion; their concepts are chosen all the same.

        Raises:
            UserError: no file of concepts or no encoder, a class without concepts, or embeddings of another size.
        """
        if self.encoder is None or not self.file:
            raise UserError(
                "network: ConceptBottleneck needs concepts, a file or a shipped set, and an encoder: an input of "
                "type Embedding, or encoder: here for an input made elsewhere"
            )
        texts = open_concepts(self.file)
        texts = (texts.first_owned() if self.ownership == "first" else texts).for_classes(
            class_names
        )
        vectors = self.encoder.embed_texts(texts.texts)
        if vectors.shape[1] != inputs.shape[1]:
            raise UserError(
                f"network.encoder: texts have {vectors.shape[1]} numbers, the input {inputs.shape[1]}; both must "
                "come from one dual encoder"
            )
        candidates = [texts.of(name) for name in class_names]
        kept = self._chosen(inputs, labels, vectors, candidates)
        chosen = [texts.concepts[i] for i in kept]
        self.own({concept.text: concept.owners for concept in chosen}, vectors[kept])
        if self.relevance != "none":
            similarities = self._measured(inputs.float()) @ self.vectors.mT
            self.centre = similarities.mean(dim=0)
            self.spread = similarities.std(dim=0, correction=0).clamp_min(_FLAT)
        self._begin()
        return {"selected": self.settled["selected"]}

    def _chosen(
        self, inputs: Tensor, labels: Tensor, vectors: Tensor, candidates: Sequence[Sequence[int]]
    ) -> list[int]:
        """Return the numbers of the chosen concepts, ascending."""
        if self.choice == "all":
            return sorted({i for own in candidates for i in own})
        if self.choice == "random":
            drawn = [[own[i] for i in torch.randperm(len(own)).tolist()] for own in candidates]
            return sorted({i for own in drawn for i in own[: self.per_class]})
        present, numbers = torch.unique(labels, return_inverse=True)
        scores = self.criterion.scores(inputs, numbers, vectors, len(present))
        selection = select_concepts(scores, vectors, candidates, self.per_class, self.criterion)
        chosen: list[int] = selection.concepts.tolist()
        return chosen

    def own(self, selected: Mapping[str, Sequence[str]], vectors: Tensor) -> None:
        """Take other concepts, without weights yet.

        Args:
            selected: concept -> the classes that own it.
            vectors: embedding of each concept, [M, channels].

        Raises:
            UserError: an owner that is no class.
        """
        for owners in selected.values():
            for name in owners:
                if name not in self.class_names:
                    raise unknown("network.selected", "class", name, self.class_names)
        usual = {text: i for i, text in enumerate(self.selected)}
        self.selected = {text: tuple(names) for text, names in selected.items()}
        if self.relevance != "none":
            self._keep([usual.get(text) for text in self.selected], vectors)
        owned = [[name in names for names in selected.values()] for name in self.class_names]
        self.register_buffer("vectors", self._measured(vectors).clone())
        self.register_buffer("owners", torch.tensor(owned, device=vectors.device))

    def _keep(self, places: Sequence[int | None], like: Tensor) -> None:
        """Keep what is usual of concepts that were there already; of others it is 0 ± 1 until it is fitted."""
        centre, spread = like.new_zeros(len(places)), like.new_ones(len(places))
        for new, old in enumerate(places):
            if old is not None:
                centre[new], spread[new] = self.centre[old], self.spread[old]
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)

    def _begin(self) -> None:
        """Give the weights their prior."""
        weights = self.prior_weight * self.owners.float()
        if self.prior == "random":
            nn.init.kaiming_normal_(weights)
        self.weights = nn.Parameter(weights)

    def _measured(self, x: Tensor) -> Tensor:
        """Return vectors between which inner products are the similarity."""
        return F.normalize(x, dim=1) if self.similarity == "cosine" else x

    @property
    def names(self) -> tuple[str, ...]:
        """M concepts, in the order of the values."""
        return tuple(self.selected)

    @property
    def association(self) -> Tensor:
        """What each concept counts for each class, [N, M]: the normalised weights."""
        weights = self.prior_weight * self.owners.float() if self.untrained else self.weights
        return weights if self.softmax == "none" else weights.softmax(_AXIS[self.softmax])

    @property
    def variants(self) -> tuple[str, ...]:
        """The other modes a prediction may run in: ``untrained``, the language prior as it was."""
        return ("untrained",) if self.prior == "language" else ()

    @contextmanager
    def predicting(self, mode: str) -> Iterator[None]:
        """Predict in another mode for a while."""
        kept, self.untrained = self.untrained, mode == "untrained"
        try:
            yield
        finally:
            self.untrained = kept

    def values(self, x: Tensor) -> Tensor:
        """Return what each input has in common with each concept, [B, M]: similarity, or relevance."""
        if not self.selected:
            raise UserError(
                "network: ConceptBottleneck has no concepts yet; fit it once on training samples"
            )
        similarity = self._measured(x) @ self.vectors.mT
        if self.relevance == "none":
            return similarity
        contrast = (similarity - self.centre) / self.spread
        return contrast if self.relevance == "contrast" else (contrast - self.threshold).relu()

    def forward(self, x: Tensor) -> Output:
        """Return logits, the values of the concepts, and the embedding."""
        # Similarities differ in the third digit, and are multiplied by 100.
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            values = self.values(x)
            logits = self.scale * values @ self.association.mT
        return Output(logits, {"concepts": values, "embedding": x})

    def explain(self, x: Tensor, classes: Tensor | None = None) -> Explanation:
        """Take the scores of embeddings apart: one stream, ``text``, with one place.

        Attention is the value of a concept, its similarity or relevance; contributions sum up to the logits
        exactly, nothing is left for ``rest``.
        """
        with torch.autocast(x.device.type, enabled=False):
            values = self.values(x.float())
            association = self.association if classes is None else self.association[classes]
            # [M, K], or [B, M, K] where every sample has classes of its own.
            parts = self.scale * values.unsqueeze(2) * association.mT
        stream = ConceptStream(self.names, (1,), values.unsqueeze(1), parts.unsqueeze(1))
        return Explanation({STREAM: stream}, parts.new_zeros(len(x), parts.shape[2]))

    def without(self, x: Tensor, stream: str, concept: int | Sequence[int]) -> Tensor:
        """Return the logits, [B, N], when the value of one concept, or of several, is zero."""
        numbers = concept_numbers({STREAM: self.names}, stream, concept)
        with torch.autocast(x.device.type, enabled=False):
            values = self.values(x.float())
            values[:, numbers] = 0.0
            return self.scale * values @ self.association.mT

    def top(self, count: int = 5) -> dict[str, list[tuple[str, float]]]:
        """Return the concepts that count most for each class, with their normalised weights."""
        best = self.association.detach().topk(min(count, len(self.selected)), dim=1)
        rows = zip(self.class_names, best.indices.tolist(), best.values.tolist(), strict=True)
        return {
            name: [(self.names[i], weight) for i, weight in zip(concepts, weights, strict=True)]
            for name, concepts, weights in rows
        }

    @property
    def settled(self) -> dict[str, Any]:
        """The arguments that follow from data or edits; laid over the description, they build it again."""
        selected = {text: list(names) for text, names in self.selected.items()}
        return {"selected": selected, "softmax": self.softmax}

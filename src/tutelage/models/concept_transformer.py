"""A network that says which concept at which place moved which class."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.errors import UserError
from tutelage.models.backbone import backbone_of
from tutelage.models.concept_slots import (
    BilevelSlots,
    ConceptSource,
    ConceptTable,
    ImplicitSlots,
    SampledSlots,
)
from tutelage.models.network import Network, concept_numbers
from tutelage.modes import evaluating
from tutelage.types import ConceptStream, Explanation, Output

Source = Literal["bilevel", "implicit", "sampled", "table"]
Scope = Literal["global", "spatial"]

_ROUNDS: Mapping[Source, int] = {"bilevel": 2, "implicit": 3, "sampled": 1, "table": 0}


class ConceptTransformer(Network):
    """A backbone with a head of concepts (CCT): tokens write concepts, read them, and what they read are scores.

    A stream has M named concepts. Its tokens write them (slot attention), a learned vector of each is added, and
    the tokens attend to them; a class score is linear in that attention, so it can be taken apart exactly into
    what each concept at each place adds. Two streams may run side by side; their scores are summed. ``global``:
    concepts of the whole input, read by the class token, or by all places where the network has none.
    ``spatial``: concepts of places, read by every place.

    Args:
        shape: one input, (channels, time) or (channels, height, width); follows from the data.
        classes: output classes; follows from the data.
        concept_names: the names that the data set annotates, by scope; follow from the data.
        network: the backbone; of its head nothing is kept.
        global_concepts: how many, or their names; those that the data set annotates unless given, 0 for no such
            stream.
        spatial_concepts: the same for concepts of places.
        source: where the concepts of a sample come from. ``bilevel``, ``implicit``, ``sampled``: slots that its
            tokens compete for (BO-QSA, ISA, SA); ``table``: learned vectors, the same for all samples (the
            Concept Transformer).
        rounds: of the slot attention; 2 for ``bilevel``, 3 for ``implicit`` (and the last one), 1 for ``sampled``
            unless given.
        heads: of the attention; divides D, the size of a token.
        global_input: what writes the global concepts: ``places``, or the ``class_token`` alone, as in the released
            code, where all slots then take in the same.
        places: the tokens of the places are resized to this grid (linearly), such as that of the annotations.
        dropout: probability with which an attention is left out in training.
        logit_dropout: the same for a class score of a token.
        sample_in_evaluation: ``sampled`` draws its slots in evaluation, too, as in the released code; predictions
            then depend on chance.

    Shapes:
        -> logits [B, classes]; the features of the backbone, ``embedding`` [B, D] (the class token, or the mean of
        the places), and the attention of each stream before dropout, mean over heads: ``global_attention`` [B, M],
        ``spatial_attention`` [B, *places, M]. Rows sum to one over the concepts.

    Raises:
        ValueError: no concepts, a name twice, heads that do not divide D, a probability outside [0, 1), a negative
            number of rounds, a grid of another number of axes, or a class token that is not there.

    Source:
        Hong, Park and Pavlic, Concept-Centric Transformers, WACV 2024, arXiv:2305.15775; code
        jyhong0304/concept_centric_transformers. Differs from the code, where it has defects: attention is
        returned before dropout; the global concepts are written by all places; ``sampled`` has slots in the
        spatial stream, too, and does not sample in evaluation; positions of slots count in every stream; the map
        of a convolutional network is read place by place. ``heads`` is 2 there as well, whatever its scripts say.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        concept_names: Mapping[str, Sequence[str]] | None = None,
        *,
        network: nn.Module,
        global_concepts: int | Sequence[str] | None = None,
        spatial_concepts: int | Sequence[str] | None = None,
        source: Source = "bilevel",
        rounds: int | None = None,
        heads: int = 2,
        global_input: Literal["places", "class_token"] = "places",
        places: Sequence[int] | None = None,
        dropout: float = 0.1,
        logit_dropout: float = 0.1,
        sample_in_evaluation: bool = False,
    ) -> None:
        super().__init__()
        for name, value in {"dropout": dropout, "logit_dropout": logit_dropout}.items():
            if not 0 <= value < 1:
                raise ValueError(f"{name}: {value}; allowed: 0 <= {name} < 1")
        if rounds is not None and rounds < 0:
            raise ValueError(f"rounds: {rounds}; allowed: 0 or more")
        self.backbone = backbone_of(network)
        self.last = self.backbone.last
        first, own, size = self.backbone.facts(shape)
        if global_input == "class_token" and not first:
            raise ValueError(
                "global_input: class_token, but the network has no class token (allowed: places)"
            )
        if places is not None and (len(places) != len(own) or min(places) < 1):
            raise ValueError(f"places: {list(places)}; allowed: {len(own)} numbers of 1 or more")
        if heads < 1 or size % heads:
            divisors = ", ".join(str(d) for d in range(1, size + 1) if size % d == 0)
            raise ValueError(
                f"heads: {heads} does not divide {size}, the size of a token (allowed: {divisors})"
            )
        self.global_input = global_input
        self.grid = tuple(places) if places is not None else None
        self.spaces: dict[str, tuple[int, ...]] = {
            "global": (1,) if first else (self.grid or own),
            "spatial": self.grid or own,
        }
        annotated = concept_names or {}
        self.concept_names = _named(
            {
                "global": _names(global_concepts, annotated.get("global", ())),
                "spatial": _names(spatial_concepts, annotated.get("spatial", ())),
            }
        )
        turns = _ROUNDS[source] if rounds is None else rounds

        def stream(count: int) -> "_Stream":
            found = _source(source, count, size, turns, sample_in_evaluation)
            return _Stream(found, count, size, classes, heads, (dropout, logit_dropout))

        self.streams = nn.ModuleDict({k: stream(len(v)) for k, v in self.concept_names.items()})

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """Return the features of the backbone by name."""
        return self.backbone.encode(x)

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of standardised inputs."""
        features = self.encode(x)
        tokens = self._tokens(features[self.last])
        features["embedding"] = _embedding(*tokens)
        scores = []
        with torch.autocast(x.device.type, enabled=False):
            for scope, stream in self._streams():
                logits, attention = stream(*self._sides(scope, *tokens))
                scores.append(logits)
                shown = attention.mean(dim=1)  # over heads
                features[f"{scope}_attention"] = (
                    shown.mean(dim=1)
                    if scope == "global"
                    else shown.unflatten(1, self.spaces[scope])
                )
        return Output(torch.stack(scores).sum(dim=0), features)

    def decode(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and embedding of the feature named ``last``."""
        tokens = self._tokens(feature)
        with torch.autocast(feature.device.type, enabled=False):
            scores = [stream(*self._sides(scope, *tokens))[0] for scope, stream in self._streams()]
        return torch.stack(scores).sum(dim=0), _embedding(*tokens)

    def explain(self, x: Tensor, classes: Tensor | None = None) -> Explanation:
        """Take the scores of standardised inputs apart, as they are in evaluation.

        Attention is the mean over heads, for display; contributions are taken head by head, so that they and
        ``rest``, the biases, sum up to the logits.
        """
        with evaluating(self):
            tokens = self._tokens(self.encode(x)[self.last])
            with torch.autocast(x.device.type, enabled=False):
                streams, rest = {}, torch.zeros(())
                for scope, stream in self._streams():
                    attention, parts, bias = stream.apart(*self._sides(scope, *tokens), classes)
                    streams[scope] = ConceptStream(
                        self.concept_names[scope], self.spaces[scope], attention, parts
                    )
                    rest = rest.to(bias) + bias
        return Explanation(streams, rest.expand(len(x), -1))

    def without(self, x: Tensor, stream: str, concept: int | Sequence[int]) -> Tensor:
        """Return the logits, [B, classes], when one concept, or several, of a stream say nothing.

        Their values are zero; who attends to them stays as it was. In evaluation.
        """
        silent = concept_numbers(self.concept_names, stream, concept)
        with evaluating(self):
            tokens = self._tokens(self.encode(x)[self.last])
            with torch.autocast(x.device.type, enabled=False):
                scores = [
                    part(*self._sides(scope, *tokens), silent if scope == stream else ())[0]
                    for scope, part in self._streams()
                ]
        return torch.stack(scores).sum(dim=0)

    def start(self, other: Network) -> None:
        """Take the weights of another concept transformer, or into the backbone those of a plain network."""
        if isinstance(other, ConceptTransformer):
            self.load_state_dict(other.state_dict())
        else:
            self.backbone.start(other)

    def _streams(self) -> list[tuple[str, "_Stream"]]:
        return [(name, part) for name, part in self.streams.items() if isinstance(part, _Stream)]

    def _tokens(self, feature: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return the class token [B, 1, D], or None, and those of the places, [B, L, D]."""
        first, x = self.backbone.tokens(feature)
        if self.grid is not None and tuple(x.shape[1:-1]) != self.grid:
            mode = "linear" if len(self.grid) == 1 else "bilinear"
            x = F.interpolate(x.movedim(-1, 1), self.grid, mode=mode, align_corners=False)
            x = x.movedim(1, -1)
        # A small head: in full precision also under autocast, so that attentions sum to one.
        kind = next(self.streams.parameters()).dtype
        return None if first is None else first.to(kind), x.flatten(1, -2).to(kind)

    def _sides(self, scope: str, first: Tensor | None, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens that write the concepts of a stream, and those that read them."""
        if scope == "spatial" or first is None:
            return places, places
        return (first if self.global_input == "class_token" else places), first


class _Stream(nn.Module):
    """The concepts of one scope, and how tokens read scores from them.

    Args:
        source: writes the concepts.
        concepts, size, classes: M, D and N.
        heads: divides D.
        dropout: of attention and of a token's scores.
    """

    def __init__(
        self,
        source: ConceptSource,
        concepts: int,
        size: int,
        classes: int,
        heads: int,
        dropout: tuple[float, float],
    ) -> None:
        super().__init__()
        self.source, self.heads = source, heads
        # A table has an order already.
        plain = isinstance(source, ConceptTable)
        self.position = None if plain else nn.Parameter(torch.zeros(concepts, size))
        self.query = nn.Linear(size, size, bias=False)
        self.key = nn.Linear(size, size, bias=False)
        self.value = nn.Linear(size, size, bias=False)
        self.score = nn.Linear(size, classes)
        self.dropout, self.score_dropout = (nn.Dropout(p) for p in dropout)

    def forward(
        self, writing: Tensor, reading: Tensor, silent: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor]:
        """Return logits [B, N] and attention before dropout, [B, heads, L, M].

        Args:
            writing: tokens that the concepts come from, [B, L', D].
            reading: tokens that read the concepts, [B, L, D].
            silent: concepts whose values are zero.
        """
        attention, values = self._read(writing, reading)
        if silent:
            values = values.clone()
            values[:, :, list(silent)] = 0
        read = (self.dropout(attention) @ values).transpose(1, 2).flatten(2)
        return self.score_dropout(self.score(read)).mean(dim=1), attention

    def apart(
        self, writing: Tensor, reading: Tensor, classes: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean attention [B, L, M], contributions [B, L, M, K] and the bias, [K] or [B, K]."""
        attention, values = self._read(writing, reading)
        chosen = torch.arange(self.score.out_features) if classes is None else classes
        weights, bias = self.score.weight[chosen], self.score.bias[chosen]  # [K or B K, D]
        by_head = weights.view(*weights.shape[:-1], self.heads, -1)
        letters = "khd" if chosen.ndim == 1 else "bkhd"
        spoken = torch.einsum(f"bhmd,{letters}->bhmk", values, by_head)
        parts = torch.einsum("bhlm,bhmk->blmk", attention, spoken) / attention.shape[2]
        return attention.mean(dim=1), parts, bias

    def _read(self, writing: Tensor, reading: Tensor) -> tuple[Tensor, Tensor]:
        """Return attention [B, heads, L, M] and values [B, heads, M, D / heads]."""
        concepts, _ = self.source(writing)
        if self.position is not None:
            concepts = concepts + self.position
        queries, keys, values = (
            layer(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2)
            for layer, x in ((self.query, reading), (self.key, concepts), (self.value, concepts))
        )
        scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])
        return torch.softmax(scores, dim=3), values.expand(len(reading), -1, -1, -1)


def _source(
    kind: Source, concepts: int, size: int, rounds: int, sample_in_evaluation: bool
) -> ConceptSource:
    if kind == "table":
        return ConceptTable(concepts, size)
    if kind == "sampled":
        return SampledSlots(concepts, size, rounds, sample_in_evaluation=sample_in_evaluation)
    return (BilevelSlots if kind == "bilevel" else ImplicitSlots)(concepts, size, rounds)


def _names(given: int | Sequence[str] | None, annotated: Sequence[str]) -> tuple[str, ...]:
    if given is None:
        return tuple(annotated)
    if isinstance(given, int):
        return tuple(f"concept {number + 1}" for number in range(given))
    return tuple(given)


def _named(names: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the streams that have concepts."""
    for scope, listed in names.items():
        if len(set(listed)) != len(listed):
            twice = next(name for name in listed if listed.count(name) > 1)
            raise ValueError(f"{scope}_concepts: {twice!r} is there twice")
    found = {scope: listed for scope, listed in names.items() if listed}
    if not found:
        raise UserError(
            "there are no concepts: the data set annotates none; state global_concepts or spatial_concepts"
        )
    return found


def _embedding(first: Tensor | None, places: Tensor) -> Tensor:
    return places.mean(dim=1) if first is None else first.squeeze(1)

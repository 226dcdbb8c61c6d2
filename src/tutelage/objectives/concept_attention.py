"""What a student that attends to concepts is asked for: agree with the annotated ones, and decide."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from tutelage import losses
from tutelage.losses.concepts import on_grid
from tutelage.models import Network
from tutelage.objectives.base import Objective
from tutelage.types import Facts, Needs, View

Scope = Literal["global", "spatial"]
_SCOPES: tuple[Scope, ...] = ("global", "spatial")


class ConceptExplanation(Objective):
    """The student attends to the concepts that are annotated (the explanation loss of CCT).

    Args:
        reduction: ``row``: mean over all annotated rows of the batch, as in the released code; ``frobenius``: sum
            over the rows of each sample, as in the paper. See :func:`tutelage.losses.concept_distance`.
        streams: ``global``, ``spatial`` or both; all that the data set annotates and the student attends to unless
            given.

    Shapes:
        student features ``global_attention`` [B, M] and ``spatial_attention`` [B, *places, M], annotations
        ``global`` [B, M] and ``spatial`` [B, *places, M] -> [B]; streams are added up.

    Raises:
        ValueError: nothing is annotated, the student has no such attention or attends to other concepts or places
            (from :meth:`prepare`), or the inputs were mixed.

    Source:
        Hong et al., CCT, arXiv:2305.15775. The released code sets a coefficient of 1 on CIFAR-100 and CUB, in the
        reduction ``row``, and 0 on ImageNet. It takes the attention after dropout, whose rows do not sum to one;
        our networks return it before. Annotations on another grid than the student's are put onto it
        (:func:`tutelage.losses.concepts.on_grid`, ours).
    """

    reads = Needs(concepts=True)

    def __init__(
        self, reduction: Literal["row", "frobenius"] = "row", streams: Sequence[Scope] | None = None
    ) -> None:
        super().__init__()
        self.reduction: Literal["row", "frobenius"] = reduction
        self.streams = None if streams is None else tuple(streams)

    def prepare(self, facts: Facts) -> None:
        """Compare what is annotated with what the student attends to."""
        annotated, attended = facts.view.batch.concepts, _attended(facts.view)
        if not annotated:
            raise ValueError("the data set annotates no concepts")
        both = tuple(scope for scope in _SCOPES if scope in annotated and scope in attended)
        wanted = both if self.streams is None else self.streams
        for scope in wanted or _SCOPES:
            if scope not in both:
                raise ValueError(
                    f"stream {scope!r} is annotated: {_yes(scope in annotated)}, attended to: "
                    f"{_yes(scope in attended)}; allowed: a stream that is both"
                )
        own = facts.student.concept_names if isinstance(facts.student, Network) else {}
        for scope in wanted:
            _compare(scope, tuple(own.get(scope, ())), facts.concept_names.get(scope, ()))
            self._distance(facts.view, scope)
        self.streams = wanted

    def forward(self, view: View) -> Tensor:
        """Return the distance of each sample, [B]."""
        if view.batch.partner is not None:
            raise ValueError(
                "inputs are mixed, so annotated concepts do not hold (allowed: no mix)"
            )
        assert self.streams is not None, "prepare() comes first"
        return torch.stack([self._distance(view, scope) for scope in self.streams]).sum(dim=0)

    def _distance(self, view: View, scope: Scope) -> Tensor:
        attention, annotated = _attended(view)[scope], view.batch.concepts[scope]
        if attention.shape[-1] != annotated.shape[-1]:
            raise ValueError(
                f"stream {scope!r}: the student attends to {attention.shape[-1]} concepts, the data set annotates "
                f"{annotated.shape[-1]}"
            )
        placed = on_grid(annotated.to(attention.device), attention.shape[1:-1])
        return losses.concept_distance(attention, placed, reduction=self.reduction)


class ConceptSparsity(Objective):
    """The student attends to few concepts at a time (the sparsity loss of CCT): low entropy of its attention.

    Args:
        reduction: ``mean``: mean over all elements, as in the released code, so that it shrinks with the number of
            concepts; ``row``: mean over rows. See :func:`tutelage.losses.attention_entropy`.
        streams: ``global``, ``spatial`` or both; all that the student has unless given.

    Shapes:
        student features ``global_attention`` [B, M] and ``spatial_attention`` [B, *places, M] -> [B]; streams are
        added up.

    Raises:
        ValueError: the student has no such attention (from :meth:`prepare`).

    Source:
        Hong et al., CCT, arXiv:2305.15775. The released code sets a coefficient of 0.5 on CIFAR-100 and CUB, in
        the reduction ``mean``, and 0 on ImageNet; the paper's value there could not be had.
    """

    def __init__(
        self, reduction: Literal["mean", "row"] = "mean", streams: Sequence[Scope] | None = None
    ) -> None:
        super().__init__()
        self.reduction: Literal["mean", "row"] = reduction
        self.streams = None if streams is None else tuple(streams)

    def prepare(self, facts: Facts) -> None:
        """Find the attention of the student."""
        attended = _attended(facts.view)
        wanted = tuple(attended) if self.streams is None else self.streams
        for scope in wanted or _SCOPES:
            if scope not in attended:
                raise ValueError(
                    f"the student has no feature '{scope}_attention' (allowed: a network that attends to "
                    "concepts, such as ConceptTransformer)"
                )
        self.streams = wanted

    def forward(self, view: View) -> Tensor:
        """Return the entropy of each sample, [B], in nats."""
        assert self.streams is not None, "prepare() comes first"
        attended = _attended(view)
        parts = [
            losses.attention_entropy(attended[scope], reduction=self.reduction)
            for scope in self.streams
        ]
        return torch.stack(parts).sum(dim=0)


def _attended(view: View) -> dict[Scope, Tensor]:
    features = view.student.features
    return {s: features[f"{s}_attention"] for s in _SCOPES if f"{s}_attention" in features}


def _compare(scope: str, own: tuple[str, ...], annotated: tuple[str, ...]) -> None:
    if own and annotated and own != annotated:
        pairs = [(a, b) for a, b in zip(own, annotated, strict=False) if a != b]
        detail = f"{pairs[0][0]!r} in place of {pairs[0][1]!r}" if pairs else "another number"
        raise ValueError(
            f"stream {scope!r}: the student attends to other concepts than are annotated ({detail}); leave out "
            f"{scope}_concepts of the network to take the annotated ones"
        )


def _yes(true: bool) -> str:
    return "yes" if true else "no"

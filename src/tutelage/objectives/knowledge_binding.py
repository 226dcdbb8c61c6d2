"""Slots of a workspace refined by what the teachers show, and any objectives on the student that read them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tutelage.losses.shapes import feature
from tutelage.models.latent_workspace import FewerTokens, LatentWorkspace, as_tokens
from tutelage.objectives.base import Objective
from tutelage.objectives.distiller import Distiller, Weighted
from tutelage.objectives.per_teacher import select
from tutelage.schedules import Schedule, value_at
from tutelage.types import (
    Facts,
    Needs,
    Output,
    View,
)
from tutelage.weighting import Fixed

SCORES = "slot_scores"
"""The tap under which inner objectives find the scores: of the student (KTS) and of each teacher (KIS)."""


class KnowledgeBinding(Objective):
    """The teachers refine the slots of the student's workspace, the student reads them, and learns (mGLW-KD).

    In each of T iterations every token of every teacher chooses among the slots (softmax over slots: the
    knowledge importance score, KIS), every slot takes the mean of the tokens that chose it, teacher by
    teacher, the means are mixed by ``weights``, and a GRU updates the slots. The student then reads the
    refined slots and goes through its own head. That is what the inner ``objectives`` see: any objective of
    this package, in whose view student and teachers carry one more feature, ``slot_scores`` [B, L, K].
    :class:`~tutelage.weighting.Closeness` on it is the batch-specific dynamic coefficient.

    Objectives beside this one see the student as it is deployed, without teachers; give it labels there, too.

    Args:
        objectives: name -> objective with coefficient, on the student that reads the refined slots.
        weights: teacher name -> share of its tokens in an update (beta), summing to one; equal unless given.
        alignment: coefficient of the regulariser, a number or a schedule, >= 0.
        iterations: T.
        bilevel: gradient through the last iteration and to the learned slots only; else through all.
        noise: standard deviation of what is added to the slots at the start of training steps, in units of
            the slot.
        tap: the teachers' feature: their last stage. The student's is its network's own.
        momentum: of the running average of refined slots (mode ``ema_slots``).
        alignment_reaches: ``both``, as published: the regulariser trains scores of student and teachers;
            ``student``: it trains the student alone, the refined slots and the teachers' scores are given.

    Shapes:
        features [B, channels, ...] of any sizes, signals and images -> [B]: the sum of the inner objectives with
        their coefficients, plus ``alignment`` · Σ over teachers of mean (KTS - KISᵀ)².

    Raises:
        ValueError: there is no objective, a number is out of range, the student is no
            :class:`~tutelage.models.LatentWorkspace`, or a feature has no positions (from :meth:`prepare`).

    Source:
        Hong et al. 2025, mGLW-KD, IEEE TNNLS, DOI 10.1109/TNNLS.2025.3640274, for two teachers; equal to it
        there. Bi-level slots and their initial values: Jia et al. 2023, arXiv:2210.08990. N teachers: each
        normalises over its own tokens, and the weights mix N means (ours). Batch normalisation in the head keeps
        running statistics of its own for this branch, so that those of the deployed student stay its own
        (ours). Coefficient of the regulariser: not published.
    """

    def __init__(
        self,
        objectives: Mapping[str, Weighted],
        weights: Mapping[str, float] | None = None,
        alignment: float | Schedule = 1.0,
        *,
        iterations: int = 3,
        bilevel: bool = True,
        noise: float = 0.0,
        tap: str = "stage3",
        momentum: float = 0.99,
        alignment_reaches: Literal["both", "student"] = "both",
    ) -> None:
        super().__init__()
        if not isinstance(alignment, Schedule) and alignment < 0:
            raise ValueError(f"alignment: {alignment}; allowed: >= 0")
        if iterations < 1 or noise < 0 or not 0 <= momentum < 1:
            raise ValueError(
                f"iterations {iterations}, noise {noise}, momentum {momentum}; allowed: at least 1, >= 0, "
                "0 <= momentum < 1"
            )
        self.inner = Distiller(objectives)
        self.weights = None if weights is None else Fixed(weights).weights
        self.alignment, self.alignment_reaches = alignment, alignment_reaches
        self.iterations, self.bilevel = iterations, bilevel
        self.noise, self.momentum, self.tap = noise, momentum, tap
        # In a tuple, so that it is not registered: its parameters are the student's, trained and saved once.
        self.student: tuple[LatentWorkspace, ...] = ()
        self.sources = nn.ModuleDict()
        self.statistics = nn.ModuleList()
        self.latest: dict[str, Tensor] = {}

    def needs(self) -> Needs:
        """Return the teachers' last stage, and what the inner objectives read."""
        inner = self.inner.needs()
        features = (inner.features | {self.tap}) - {SCORES}
        return replace(inner, features=features, grams=inner.grams - {SCORES})

    def prepare(self, facts: Facts) -> None:
        """Build one source per teacher from the shapes of its feature, then prepare the inner objectives."""
        network = facts.student
        if not isinstance(network, LatentWorkspace):
            raise ValueError(
                f"the student's network is {type(network).__name__}, which has no slots (allowed: network: "
                "{type: LatentWorkspace, network: {...}})"
            )
        self.student = (network,)
        size = network.size
        for name, teacher in self._teachers(facts.view).items():
            tokens = as_tokens(feature(teacher, self.tap), network.tokens)
            _, count, wide = tokens.shape
            self.sources[name] = _Source(count, wide, network.count, size)
        self.norm = nn.LayerNorm(size)
        self.query = nn.Linear(size, size, bias=False)
        self.update = nn.GRUCell(size, size)
        # Smaller numbers, such as the framework's own, leave every score near 1 / K, and the regulariser keeps
        # them there.
        for weight in (self.query.weight, self.update.weight_ih):
            nn.init.xavier_uniform_(weight)
        nn.init.orthogonal_(self.update.weight_hh)
        nn.init.zeros_(self.update.bias_ih)
        nn.init.zeros_(self.update.bias_hh)
        self.statistics = nn.ModuleList(
            type(norm)(norm.num_features, affine=False) for norm in _head_norms(network)
        )
        self.to(facts.view.student.logits.device)
        training = self.training
        self.eval()
        with torch.no_grad():
            seen, _, _ = self.see(facts.view)
        self.train(training)
        self.inner.prepare(replace(facts, view=seen))

    def forward(self, view: View) -> Tensor:
        """Return the weighted sum of the inner objectives and the regulariser, [B]."""
        seen, slots, kis = self.see(view)
        if self.training:
            self.network.remember(slots, self.momentum)
        losses = self.inner(seen)
        kts = seen.student.features[SCORES]
        if self.alignment_reaches == "student":
            # Detached scores are not enough: the refined slots, too, come from the teachers' sources.
            own = feature(view.student, self.network.last)
            kts = self.network.scores(own, slots.detach())
            kis = {name: scores.detach() for name, scores in kis.items()}
        distances = {
            name: (kts - scores.transpose(1, 2)).square().mean(dim=(1, 2))
            for name, scores in kis.items()
        }
        aligned = torch.stack(list(distances.values())).sum(dim=0)
        self.latest = self._record(seen, kis, distances, aligned) | dict(losses.traces)
        self.latest |= {name: part.detach() for name, part in losses.parts.items()}
        total: Tensor = losses.total + value_at(self.alignment, view.clock) * aligned
        return total

    def traces(self) -> Mapping[str, Tensor]:
        """Return the latest parts by name, the distances, and how much of each slot is bound and read.

        ``<objective>`` and ``<objective>.<trace>`` of the inner objectives; ``alignment``; ``distance.<teacher>``,
        mean (KTS - KISᵀ)²; ``bound.<teacher>.<slot>`` and ``read.<slot>``, mean score of a slot over tokens;
        ``sharpness.<teacher>`` and ``sharpness.read``, how decided a token's scores are, mean over tokens, 0 (all
        alike) to 1 (one slot); ``correct``, 1 where the student that reads the refined slots is right.
        """
        return self.latest

    def see(self, view: View) -> tuple[View, Tensor, dict[str, Tensor]]:
        """Return what the inner objectives see, the refined slots [B, K, D], and KIS [B, K, L] per teacher."""
        teachers = self._teachers(view)
        own = feature(view.student, self.network.last)
        slots, kis = self.bind({n: feature(t, self.tap) for n, t in teachers.items()})
        enriched, kts = self.network.transfer(own, slots)
        with self._own_statistics():
            logits, embedding = self.network.network.decode(enriched)
        features = {**view.student.features, "embedding": embedding, SCORES: kts}
        student = Output(logits, features, view.student.grams)
        seen = {
            name: replace(teacher, features={**teacher.features, SCORES: kis[name].transpose(1, 2)})
            for name, teacher in teachers.items()
        }
        return replace(view, student=student, teachers=seen), slots, kis

    def bind(self, features: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Refine the slots by the teachers' features.

        Args:
            features: teacher name -> last stage, [B, channels, ...].

        Returns:
            Slots [B, K, D] and KIS of the last iteration per teacher, [B, K, L].
        """
        first = next(iter(features.values()))
        with torch.autocast(first.device.type, enabled=False):
            shown = {n: self.sources[n](f, self.network.tokens) for n, f in features.items()}
            start = self.network.slots.expand(len(first), -1, -1)
            if self.noise and self.training:
                start = start + self.noise * torch.randn_like(start) * start.detach()
            slots, kis = start, dict[str, Tensor]()
            for left in reversed(range(self.iterations)):
                if self.bilevel and not left and self.iterations > 1:
                    # Values unchanged; the gradient goes to the last iteration and to the learned slots alone.
                    slots = slots.detach() + start - start.detach()
                with torch.no_grad() if self.bilevel and left else nullcontext():
                    slots, kis = self._refine(slots, shown)
        return slots, kis

    def inspect(self, view: View) -> Mapping[str, Tensor]:
        """Return what there is to look at in a batch.

        Returns:
            ``logits`` [B, C] with the teachers; ``bound.<teacher>`` and ``read`` [B, K], mean score of each slot
            over tokens, ``read_alone`` likewise for the slots a prediction reads; ``place.<teacher>`` and
            ``place``, [B, K, ...]: where in the last stage's positions the tokens of a slot are active, summing
            to one over positions; where tokens are positions, their scores, summing to one over slots.
        """
        seen, _, kis = self.see(view)
        kts = seen.student.features[SCORES].transpose(1, 2)
        found = {"logits": seen.student.logits, "read": kts.mean(dim=2)}
        if SCORES in view.student.features:
            found["read_alone"] = view.student.features[SCORES].mean(dim=1)
        if kts.shape[2] == self.network.own[0]:
            found["place"] = _places(
                kts, feature(view.student, self.network.last), self.network.tokens
            )
        for name, scores in kis.items():
            found[f"bound.{name}"] = scores.mean(dim=2)
            shown = feature(view.teachers[name], self.tap)
            if scores.shape[2] == as_tokens(shown, self.network.tokens).shape[1]:
                found[f"place.{name}"] = _places(scores, shown, self.network.tokens)
        return found

    @property
    def network(self) -> LatentWorkspace:
        """The student's network."""
        if not self.student:
            raise RuntimeError("KnowledgeBinding is used before prepare()")
        return self.student[0]

    def _teachers(self, view: View) -> dict[str, Output]:
        return select(view, None if self.weights is None else list(self.weights))

    def _share(self, name: str, teachers: int) -> float:
        return 1 / teachers if self.weights is None else self.weights[name]

    def _refine(
        self, slots: Tensor, shown: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return refined slots [B, K, D] and KIS [B, K, L] per teacher, from tokens [B, L, D_i]."""
        asking = self.query(self.norm(slots)) / math.sqrt(slots.shape[2])
        kis, taken = {}, []
        for name, tokens in shown.items():
            source = cast("_Source", self.sources[name])
            # Keys and values are linear in the tokens, so K slots are projected instead of L tokens.
            scores = asking @ source.key.weight @ tokens.transpose(1, 2)
            kis[name] = torch.softmax(scores, dim=1)
            mean = kis[name] / (kis[name].sum(dim=2, keepdim=True) + 1e-8)
            taken.append(self._share(name, len(shown)) * source.value(mean @ tokens))
        mixed = torch.stack(taken).sum(dim=0)
        return _gated(self.update, mixed, slots), kis

    @contextmanager
    def _own_statistics(self) -> Iterator[None]:
        """Let the head's batch normalisation run with the running statistics of this branch."""
        norms = _head_norms(self.network)
        try:
            _swap_statistics(norms, self.statistics)
            yield
        finally:
            _swap_statistics(norms, self.statistics)

    def _record(
        self,
        seen: View,
        kis: Mapping[str, Tensor],
        distances: Mapping[str, Tensor],
        aligned: Tensor,
    ) -> dict[str, Tensor]:
        found = {"alignment": aligned.detach()}
        found["correct"] = (seen.student.logits.detach().argmax(dim=1) == seen.batch.labels).float()
        found |= {f"distance.{name}": values.detach() for name, values in distances.items()}
        read = seen.student.features[SCORES].detach().mean(dim=1)
        found |= {f"read.{k}": values for k, values in enumerate(read.unbind(1), start=1)}
        found["sharpness.read"] = _sharpness(seen.student.features[SCORES].detach().transpose(1, 2))
        for name, scores in kis.items():
            found[f"sharpness.{name}"] = _sharpness(scores.detach())
            bound = scores.detach().mean(dim=2)
            found |= {f"bound.{name}.{k}": v for k, v in enumerate(bound.unbind(1), start=1)}
        return found


class _Source(nn.Module):
    """What one teacher shows to the slots: its tokens, normalised, and the projections to keys and values.

    Args:
        count: tokens of the teacher, L_i.
        size: of one of them, D_i.
        wanted: L.
        common: D.

    Shapes:
        feature [B, channels, ...] -> [B, L, D_i]; no gradient to the teacher.
    """

    def __init__(self, count: int, size: int, wanted: int, common: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(count, size))
        self.fewer = FewerTokens(count, wanted, size) if count != wanted else None
        self.norm = nn.LayerNorm(size)
        self.key = nn.Linear(size, common, bias=False)
        self.value = nn.Linear(size, common, bias=False)
        for layer in (self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, feature: Tensor, tokens: Literal["channels", "positions"]) -> Tensor:
        """Return the tokens."""
        x = as_tokens(feature.detach(), tokens).to(self.position.dtype) + self.position
        found: Tensor = self.norm(x if self.fewer is None else self.fewer(x))
        return found


def _head_norms(network: LatentWorkspace) -> list[_BatchNorm]:
    """Return the batch normalisations with running statistics behind the last stage."""
    return [
        module
        for name, child in network.network.named_children()
        if name not in ("stem", "stages")
        for module in child.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]


def _gated(cell: nn.GRUCell, x: Tensor, hidden: Tensor) -> Tensor:
    """Return the hidden state after one input; as two linear maps, which also run under ``torch.vmap``."""
    r, z, n = nn.functional.linear(x, cell.weight_ih, cell.bias_ih).chunk(3, dim=-1)
    hr, hz, hn = nn.functional.linear(hidden, cell.weight_hh, cell.bias_hh).chunk(3, dim=-1)
    fresh = torch.tanh(n + torch.sigmoid(r + hr) * hn)
    return fresh + torch.sigmoid(z + hz) * (hidden - fresh)


def _swap_statistics(norms: Iterable[nn.Module], others: Iterable[nn.Module]) -> None:
    for one, other in zip(norms, others, strict=True):
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            mine, theirs = getattr(one, name), getattr(other, name)
            setattr(one, name, theirs)
            setattr(other, name, mine)


def _sharpness(scores: Tensor) -> Tensor:
    """Return one minus the entropy over slots, in units of its largest value, mean over tokens, of [B, K, L]."""
    slots = max(2, scores.shape[1])
    entropy = torch.special.entr(scores.float()).sum(dim=1) / math.log(slots)
    found: Tensor = 1 - entropy.mean(dim=1)
    return found


def _places(scores: Tensor, shown: Tensor, tokens: Literal["channels", "positions"]) -> Tensor:
    """Return where the tokens of each slot are active, [B, K, ...], from scores [B, K, L] and a feature map."""
    if tokens == "positions":
        return scores.reshape(*scores.shape[:2], *shown.shape[2:])
    # A channel's activity: how far it is from its own mean over the positions of this sample.
    activity = shown.flatten(2).float()
    activity = (activity - activity.mean(dim=2, keepdim=True)).abs()
    weighted = scores.float() @ activity
    share = weighted / weighted.sum(dim=2, keepdim=True).clamp(min=1e-12)
    return share.reshape(*scores.shape[:2], *shown.shape[2:])

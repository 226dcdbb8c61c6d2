"""Slots of a workspace refined by what the teachers show, and any objectives on the student that read them."""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from tutelage.errors import within
from tutelage.losses.shapes import feature
from tutelage.models.latent_workspace import LatentWorkspace, as_tokens
from tutelage.modes import evaluating
from tutelage.objectives._slots import (
    SlotSource,
    gated,
    head_norms,
    places,
    sharpness,
    swapped_statistics,
)
from tutelage.objectives.base import Judged, TracedObjective
from tutelage.objectives.distiller import Distiller, Weighted
from tutelage.objectives.per_teacher import by_teacher, select
from tutelage.schedules import Schedule, value_at
from tutelage.types import Facts, Needs, Output, View
from tutelage.weighting import Fixed

SCORES = "slot_scores"
"""The tap under which inner objectives find the scores: of the student (KTS) and of each teacher (KIS)."""


class KnowledgeBinding(TracedObjective):
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
        within("[0, inf)", alignment=alignment, noise=noise)
        within("[1, inf)", iterations=iterations)
        within("[0, 1)", momentum=momentum)
        self.inner = Distiller(objectives)
        for name in self.inner.shares:
            raise ValueError(
                f"objectives.{name}.coefficient: GradientShare is settled for the objectives of a stage, not for "
                "those inside another one; allowed: a number or a schedule"
            )
        for name in {"alignment", "correct"} & objectives.keys():
            raise ValueError(f"objectives.{name}: is recorded already; allowed: another name")
        self.weights = None if weights is None else Fixed(weights).weights
        self.alignment, self.alignment_reaches = alignment, alignment_reaches
        self.iterations, self.bilevel = iterations, bilevel
        self.noise, self.momentum, self.tap = noise, momentum, tap
        # In a tuple, so that it is not registered: its parameters are the student's, trained and saved once.
        self.student: tuple[LatentWorkspace, ...] = ()
        self.sources = nn.ModuleDict()
        self.statistics = nn.ModuleList()

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
            self.sources[name] = SlotSource(count, wide, network.count, size)
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
            type(norm)(norm.num_features, affine=False) for norm in head_norms(network)
        )
        self.to(facts.view.student.logits.device)
        with evaluating(self), torch.no_grad():
            seen, _, _ = self.see(facts.view)
        self.inner.prepare(replace(facts, view=seen))

    def judge(self, view: View) -> Judged:
        """Return the weighted sum of the inner objectives and the regulariser, [B], and what happened inside.

        Traces: ``<objective>`` and ``<objective>.<trace>`` of the inner objectives; ``alignment``;
        ``distance.<teacher>``, mean (KTS - KISᵀ)²; ``bound.<teacher>.<slot>`` and ``read.<slot>``, mean score of a
        slot over tokens; ``sharpness.<teacher>`` and ``sharpness.read``, how decided a token's scores are, mean
        over tokens, 0 (all alike) to 1 (one slot); ``correct``, 1 where the student that reads the refined slots
        is right.
        """
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
        traces = {"alignment": aligned.detach()} | _traces(seen, kis)
        traces |= by_teacher(distances, distances.values(), "distance") | dict(losses.traces)
        traces |= {name: part.detach() for name, part in losses.parts.items()}
        return Judged(losses.total + value_at(self.alignment, view.clock) * aligned, traces)

    def see(self, view: View) -> tuple[View, Tensor, dict[str, Tensor]]:
        """Return what the inner objectives see, the refined slots [B, K, D], and KIS [B, K, L] per teacher."""
        teachers = self._teachers(view)
        own = feature(view.student, self.network.last)
        slots, kis = self.bind({n: feature(t, self.tap) for n, t in teachers.items()})
        enriched, kts = self.network.transfer(own, slots)
        with swapped_statistics(head_norms(self.network), list(self.statistics)):
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
        shown_at = {"logits": seen.student.logits, "read": kts.mean(dim=2)}
        if SCORES in view.student.features:
            shown_at["read_alone"] = view.student.features[SCORES].mean(dim=1)
        if kts.shape[2] == self.network.own[0]:
            shown_at["place"] = places(
                kts, feature(view.student, self.network.last), self.network.tokens
            )
        for name, scores in kis.items():
            shown_at[f"bound.{name}"] = scores.mean(dim=2)
            shown = feature(view.teachers[name], self.tap)
            if scores.shape[2] == as_tokens(shown, self.network.tokens).shape[1]:
                shown_at[f"place.{name}"] = places(scores, shown, self.network.tokens)
        return shown_at

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
            source = cast("SlotSource", self.sources[name])
            # Keys and values are linear in the tokens, so K slots are projected instead of L tokens.
            scores = asking @ source.key.weight @ tokens.transpose(1, 2)
            kis[name] = torch.softmax(scores, dim=1)
            mean = kis[name] / (kis[name].sum(dim=2, keepdim=True) + 1e-8)
            taken.append(self._share(name, len(shown)) * source.value(mean @ tokens))
        mixed = torch.stack(taken).sum(dim=0)
        return gated(self.update, mixed, slots), kis


def _traces(seen: View, kis: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return how much of each slot is bound and read, and who is right."""
    right = seen.student.logits.argmax(dim=1) == seen.batch.labels
    read = seen.student.features[SCORES].detach()
    traces = {"correct": right.float(), "sharpness.read": sharpness(read.transpose(1, 2))}
    traces |= {f"read.{k}": v for k, v in enumerate(read.mean(dim=1).unbind(1), start=1)}
    for name, scores in kis.items():
        traces[f"sharpness.{name}"] = sharpness(scores.detach())
        bound = scores.detach().mean(dim=2)
        traces |= {f"bound.{name}.{k}": v for k, v in enumerate(bound.unbind(1), start=1)}
    return traces

"""One step of ViT-B/16 learning from ViT-L/14: ours beside PromptKD's way, which encodes all texts in every step.

python -m benchmarks.clip_step.run --promptkd CHECKOUT

Random weights, float32 on the CPU, fixed images. The checkout is zhengli97/PromptKD; its ``forward_backward`` is
called unchanged (its moves to a GPU and to half precision are made to do nothing). The plain loop is ours, in that
order of work, on our towers; it is there without a checkout, too. Batch 2 with 25 classes has as many texts for
an image as the published batch 8 with 100 classes.
"""

import argparse
import importlib
import sys
import time
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional as F

from benchmarks.common import ratio, rounds, write
from tutelage.batches import Samples
from tutelage.models import DistilledClip, On, PromptedClip
from tutelage.models.edu_attention import Attention
from tutelage.objectives import Distiller, PerTeacher, Weighted
from tutelage.steps import GradientStep
from tutelage.teachers import CachedTeachers, LiveTeachers, cache_teacher
from tutelage.terms import FeatureStatistics, SoftTargets
from tutelage.types import Clock, Needs
from tutelage.vlm import EncoderSource
from tutelage.vlm.open_clip import OpenClipEncoder, new_open_clip
from tutelage.vlm.pictures import Preparation

BATCH, CLASSES, WEIGHT, RATE = 2, 25, 1.0, 0.005
PLAIN, AUTHORS = "plain loop, PromptKD's way", "PromptKD's loop"
READ = Needs(features=frozenset(["image"]))


class Untrained(EncoderSource):
    """A published architecture with random weights."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def fingerprint(self) -> str:
        return self.name

    def load(self) -> OpenClipEncoder:
        config = dict(open_clip.get_model_config(self.name))
        config["quick_gelu"] = True  # as OpenAI's weights want it
        return new_open_clip(config, Preparation((224, 224))).eval().requires_grad_(False)


def names() -> tuple[str, ...]:
    return tuple(f"kind {number}" for number in range(CLASSES))


def on(network: torch.nn.Module) -> On:
    return On("image", network, torch.zeros(3), torch.ones(3))


def student_of(teacher: On, attention: Attention | None = None) -> On:
    torch.manual_seed(0)
    network = DistilledClip(names(), Untrained("ViT-B-16"), attention=attention)
    network.adopt({"teacher": teacher.network}, {})
    return on(network).train()


def ours(teachers: Any, student: On, samples: Samples, *, align: bool) -> Callable[[], Tensor]:
    """Our step, with one or both losses."""
    parts = {"refine": Weighted(PerTeacher(SoftTargets(1.0)), WEIGHT)}
    if align:
        parts["align"] = Weighted(PerTeacher(FeatureStatistics()))
    rule = GradientStep(partial(torch.optim.SGD, lr=0.0, momentum=0.9, weight_decay=5e-4), RATE)
    stepper = rule.bind(Fabric(accelerator="cpu"), student, Distiller(parts))
    batch = samples.take(torch.arange(BATCH))

    def run() -> Tensor:
        losses, _ = stepper(batch, teachers(batch), Clock())
        return losses.total.mean().detach()

    return run


def plain(teacher: PromptedClip, student: DistilledClip, images: Tensor) -> Callable[[], Tensor]:
    """PromptKD's order of work: image and text tower of the teacher, student, divergence, step."""
    trained = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, RATE, momentum=0.9, weight_decay=5e-4)
    words = teacher.encoder.tokenise([f"a photo of a {name}." for name in names()])

    def run() -> Tensor:
        with torch.no_grad():
            with teacher.vision.within(teacher.encoder.image_tower()):  # type: ignore[union-attr]
                seen = teacher.encoder.encode_inputs(teacher.encoder.prepare(images))
            with teacher.text.within(teacher.encoder.text_tower()):  # type: ignore[union-attr]
                said = F.normalize(teacher.encoder.encode_tokens(words), dim=1)
            wanted = teacher.scale * F.normalize(seen, dim=1) @ said.mT
        with student.vision.within(student.encoder.image_tower()):  # type: ignore[union-attr]
            own = student.encoder.encode_inputs(student.encoder.prepare(images))
        logits = teacher.scale * F.normalize(student.projector(own), dim=1) @ said.mT
        loss = F.kl_div(logits.log_softmax(1), wanted.softmax(1), reduction="sum") / logits.numel()
        loss = loss * WEIGHT * CLASSES  # their KD_WEIGHT
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return run


def authors(path: Path, images: Tensor) -> Callable[[], object]:
    """The authors' own step on their own networks of the same sizes."""
    for name in ("dassl", "dassl.engine", "dassl.utils", "dassl.optim"):
        sys.modules[name] = types.ModuleType(name)
    engine, utils, optim = (sys.modules[f"dassl.{name}"] for name in ("engine", "utils", "optim"))
    engine.TRAINER_REGISTRY = SimpleNamespace(register=lambda: lambda cls: cls)  # type: ignore[attr-defined]
    engine.TrainerX = object  # type: ignore[attr-defined]
    utils.load_pretrained_weights = utils.load_checkpoint = None  # type: ignore[attr-defined]
    optim.build_optimizer = optim.build_lr_scheduler = None  # type: ignore[attr-defined]
    package = types.ModuleType("trainers")
    package.__path__ = [str(path / "trainers")]
    sys.modules["trainers"] = package
    sys.path.insert(0, str(path))
    torch.Tensor.half = lambda self: self  # type: ignore[method-assign,assignment]
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]
    torch.nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]
    clip = importlib.import_module("clip.model").CLIP
    code = importlib.import_module("trainers.promptkd")
    design = {
        "trainer": "IVLP",
        "vision_depth": 9,
        "language_depth": 9,
        "vision_ctx": 4,
        "language_ctx": 4,
    }
    large = clip(768, 224, 24, 1024, 14, 77, 49408, 768, 12, 12, design).eval()
    small = clip(512, 224, 12, 768, 16, 77, 49408, 512, 8, 12, design).eval()
    own = SimpleNamespace(
        PROMPT_DEPTH_TEXT=9, PROMPT_DEPTH_VISION=9, N_CTX_TEXT=4, N_CTX_VISION=4, CTX_INIT="a photo of a",
        PREC="fp32", KD_WEIGHT=WEIGHT * CLASSES,
    )  # fmt: skip
    config = SimpleNamespace(
        TRAINER=SimpleNamespace(NAME="PromptKD", MODAL="base2novel", PROMPTKD=own),
        INPUT=SimpleNamespace(SIZE=(224, 224)),
        OPTIM=SimpleNamespace(MAX_EPOCH=20),
    )
    teacher = code.CustomCLIP_teacher(config, list(names()), large).eval()
    student = code.CustomCLIP(config, list(names()), small)
    for name, parameter in student.named_parameters():
        parameter.requires_grad_("VPT" in name)
    trained = [p for p in student.parameters() if p.requires_grad]
    state = SimpleNamespace(
        model_teacher=teacher, model=student, scaler=None, cfg=config, temperature=1.0, batch_idx=0, num_batches=9,
        optim=torch.optim.SGD(trained, RATE, momentum=0.9, weight_decay=5e-4),
        parse_batch_train=lambda batch: (batch, None),
    )  # fmt: skip
    return lambda: code.PromptKD.forward_backward(state, images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--promptkd", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("runs/.bench"))
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    images = torch.rand(BATCH, 3, 224, 224)
    samples = Samples({"image": images}, torch.zeros(BATCH, dtype=torch.int64), names())
    teacher = on(PromptedClip(names(), Untrained("ViT-L-14"), frozen_templates=None)).eval()
    entry = cache_teacher(
        teacher, samples, torch.arange(BATCH), READ, folder=options.folder, modality="image"
    )
    cached, live = CachedTeachers({"t": entry}), LiveTeachers({"t": teacher}, READ)
    ways = {
        PLAIN: plain(teacher.network, student_of(teacher).network, images),
        "Tutelage, PromptKD, live teacher": ours(live, student_of(teacher), samples, align=False),
        "Tutelage, ComKD-CLIP, live teacher": ours(
            live, student_of(teacher, Attention()), samples, align=True
        ),
        "Tutelage, PromptKD, cached teacher": ours(
            cached, student_of(teacher), samples, align=False
        ),
    }
    # The same work: the first step of the same student from the same teacher.
    first = [ways[name]() for name in (PLAIN, "Tutelage, PromptKD, live teacher")]
    torch.testing.assert_close(*first, rtol=1e-4, atol=1e-5)
    if options.promptkd:
        ways[AUTHORS] = authors(options.promptkd, images)
    seconds = rounds(ways, options.rounds, clock=time.process_time)
    peers = [name for name in (PLAIN, AUTHORS) if name in ways]
    table = [
        ["way", "CPU seconds a step (median)", *(f"times faster than {peer}" for peer in peers)]
    ]
    for name, values in seconds.items():
        median = f"{sorted(values)[len(values) // 2]:.2f}"
        table.append([name, median, *(f"{ratio(seconds, peer, name):.2f}" for peer in peers)])
    work = f"batch {BATCH}, {CLASSES} classes, 224 x 224, prompts of depth 9, float32, one thread."
    write(
        Path(__file__).parent,
        "python -m benchmarks.clip_step.run" + (" --promptkd CHECKOUT" if options.promptkd else ""),
        {"seconds": seconds, "Setting": work},
        table,
    )


if __name__ == "__main__":
    main()

"""ViT-B/16 learns from ViT-L/14, as published but with random weights: one step of every stage in bf16."""

from functools import partial

import pytest
import torch
from lightning_fabric import Fabric

from tutelage.models import DistilledClip, On, PromptedClip
from tutelage.models.edu_attention import Attention
from tutelage.objectives import Distiller, Labels, PerTeacher, SelfRegulation, Weighted
from tutelage.steps import GradientStep
from tutelage.teachers import LiveTeachers
from tutelage.terms import FeatureStatistics, SoftTargets
from tutelage.types import Batch, Clock, Needs
from tutelage.vlm import EncoderSource
from tutelage.vlm.open_clip import new_open_clip
from tutelage.vlm.pictures import Preparation

open_clip = pytest.importorskip("open_clip")

NAMES = ("cat", "dog", "airliner")


class Untrained(EncoderSource):
    """A published architecture with random weights, for images of 4 x 4 patches.

    All layers have their size; of 196 patches in bf16 the CPU kernels of PyTorch take minutes.
    """

    def __init__(self, name):
        self.name = name

    @property
    def fingerprint(self):
        return self.name

    def load(self):
        config = open_clip.get_model_config(self.name)
        size = 4 * config["vision_cfg"]["patch_size"]
        config["vision_cfg"]["image_size"] = size
        encoder = new_open_clip(config, Preparation((size, size)))
        return encoder.eval().requires_grad_(False)


def step(student, distiller, teachers):
    """One step on two images, of another size than the towers'; return which tensors moved, and all of them."""
    fabric = Fabric(accelerator="cpu", precision="bf16-mixed")
    student.train()
    x = (255 * torch.rand(2, 3, 80, 80, generator=torch.Generator().manual_seed(0))).byte()
    batch = Batch({"image": x}, torch.tensor([0, 2]), torch.arange(2))
    rule = GradientStep(partial(torch.optim.SGD, lr=0.0, momentum=0.9), 0.05)
    stepper = rule.bind(fabric, student, distiller)
    before = {name: p.detach().clone() for name, p in student.named_parameters() if p.requires_grad}
    with fabric.autocast():
        outputs = teachers(batch) if teachers else {}
    losses, output = stepper(batch, outputs, Clock())
    assert bool(losses.total.isfinite().all())
    assert output.logits.dtype == torch.float32
    assert output.logits.shape == (2, len(NAMES))
    now = dict(student.named_parameters())
    return {name for name, old in before.items() if not torch.equal(old, now[name])}, before


def on(network):
    return On("image", network, torch.zeros(3), torch.full((3,), 255.0))


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    network = PromptedClip(
        NAMES, Untrained("ViT-L-14"), frozen_templates=["a photo of a {}.", "{}."]
    )
    return on(network)


def test_promptsrc_makes_a_step(teacher):
    distiller = Distiller({"labels": Weighted(Labels()), "regulation": Weighted(SelfRegulation())})
    moved, trained = step(teacher, distiller, None)
    assert moved == set(trained) == {"network.vision.tokens", "network.text.tokens"}
    assert teacher.network.vision.tokens.shape == (9, 4, 1024)
    assert teacher.network.text.tokens.shape == (9, 4, 768)
    assert teacher.network.encoder.encoded == {"inputs": 4, "texts": 9}  # 3, and 6 without prompts


@pytest.mark.parametrize("attention", [None, Attention()], ids=["promptkd", "comkd"])
def test_the_student_makes_a_step(teacher, attention):
    torch.manual_seed(0)
    network = DistilledClip(NAMES, Untrained("ViT-B-16"), attention=attention)
    assert network.adopt({"t": teacher.network.eval()}, {}) == {"embed_dim": 768}
    texts = teacher.network.encoder.encoded["texts"]
    parts = {"refine": Weighted(PerTeacher(SoftTargets(1.0)))}
    if attention is not None:
        parts["align"] = Weighted(PerTeacher(FeatureStatistics()))
    live = LiveTeachers({"t": teacher}, Needs(features=frozenset(["image"])))
    moved, trained = step(on(network), Distiller(parts), live)
    assert network.vision.tokens.numel() == 27_648
    assert {"network.vision.tokens", "network.projector.0.weight"} <= moved
    # At the first step only the scale of the attention moves; a bias before a batch normalisation never.
    still = {name for name in set(trained) - moved if "attention" not in name}
    assert still <= {"network.projector.0.bias", "network.projector.3.bias"}
    if attention is not None:
        assert {name for name in moved if "attention" in name} == {"network.attention.scale"}
    assert teacher.network.encoder.encoded["texts"] == texts

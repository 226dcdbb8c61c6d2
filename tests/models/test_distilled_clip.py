"""DistilledClip: PromptKD's numbers from images to gradients, EduAttention, what it keeps of its teacher."""

import copy
import pickle

import pytest
import torch
from torch.nn import functional as F

from tests.vlm.formula import Given, fill, prompts, scatter
from tests.vlm.small import IMAGES, image_encoder, image_folder, signal_encoder
from tutelage.errors import UserError
from tutelage.models import DistilledClip, On, PromptedClip, WideResNet, measure
from tutelage.models.edu_attention import Attention, EduAttention
from tutelage.objectives import PerTeacher
from tutelage.teachers import state_hash
from tutelage.terms import FeatureStatistics, SoftTargets
from tutelage.types import Batch, Clock, View
from tutelage.vlm import HuggingFace, OpenClip
from tutelage.vlm.hugging_face import export_hugging_face
from tutelage.vlm.open_clip import new_open_clip
from tutelage.vlm.pictures import Preparation

pytest.importorskip("open_clip")

NAMES = ("cat", "airliner", "red_fox", "tipper truck")
WIDE = IMAGES | {"embed_dim": 24}


def teacher(seed=0, config=WIDE, names=NAMES, **more):
    torch.manual_seed(seed)
    encoder = new_open_clip(config, Preparation((16, 16))).eval().requires_grad_(False)
    torch.manual_seed(seed)
    given = {"vision_depth": 1, "text_depth": 1, "frozen_templates": None} | more
    return PromptedClip(names, Given(encoder), **given).eval()


def made(encoder=None, seed=0, learned=None, names=NAMES, **more):
    """A student of ``learned``; of another width than its teacher."""
    torch.manual_seed(seed)
    source = Given(image_encoder(7) if encoder is None else encoder, "student")
    network = DistilledClip(names, source, **{"vision_depth": 2} | more)
    torch.manual_seed(seed)
    network.adopt({"t": learned or teacher()}, {})
    return network


def pictures(count=3):
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def view(student, learned, x):
    labels = torch.zeros(len(x), dtype=torch.int64)
    return View(student(x), {"t": learned(x)}, Batch({}, labels, labels), Clock())


def trained(network):
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def of_authors(embed_dim, layers):
    config = {
        "embed_dim": embed_dim,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "layers": layers, "head_width": 64},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 3},
    }  # fmt: skip
    encoder = new_open_clip(config, Preparation((32, 32), (0, 0, 0), (1, 1, 1)))
    state = fill(encoder.model.state_dict())
    for name in state:  # milder attention: else all images are alike
        if name.startswith("visual.") and name.endswith("in_proj_weight"):
            state[name] = 0.3 * state[name]
    encoder.model.load_state_dict(state)
    return encoder.eval()


@pytest.fixture(scope="module")
def authors():
    """Teacher and student with the weights and the prompts that the authors' code was run with."""
    learned = PromptedClip(
        NAMES, Given(of_authors(32, 3)), vision_depth=3, text_depth=3, frozen_templates=None
    ).eval()
    learned.vision.tokens.data = prompts(3, 4, 64, 0.5)
    learned.text.tokens.data = prompts(3, 4, 64, 1.5)
    student = made(of_authors(24, 2), learned=learned)
    student.vision.tokens.data = prompts(2, 4, 64, 2.5)
    for k, parameter in enumerate(student.projector.parameters()):
        wave = 0.3 * scatter(parameter.numel(), 10.5 + k).reshape(parameter.shape)
        parameter.data = (wave + (1 if k == 2 else 0)).float()
    return learned, student


@pytest.mark.parametrize(
    ("temperature", "loss", "norm"),
    [(1.0, 3.2825493812561035, 0.6893734335899353), (2.0, 7.227020740509033, 1.1322253942489624)],
)
def test_equals_promptkd_from_images_to_gradients(authors, temperature, loss, norm):
    # zhengli97/PromptKD@ec244f783c8b9b2503ad5a838a3fd97365686ddb: CustomCLIP_teacher, CustomCLIP and
    # PromptKD.forward_backward, float32 on the CPU, KD_WEIGHT 10, 4 classes. Their divergence is divided by B N,
    # so the coefficient of the batch mean is 10 / 4.
    learned, student = authors
    student = copy.deepcopy(student).train()
    x = scatter(5 * 3 * 16, 3.3).reshape(5, 3, 4, 4).float()
    x = x.repeat_interleave(8, 2).repeat_interleave(8, 3)
    close = {"rtol": 1e-4, "atol": 2e-5}
    v = view(student, learned, x)
    said = [
        [-4.5046935, -3.2815404, -3.2814283, 1.7665758],
        [-4.4644237, -3.2250698, -3.2249594, 1.7259248],
    ]
    torch.testing.assert_close(v.teachers["t"].logits[[0, 3]], torch.tensor(said), **close)
    seen = [-0.1197544, -0.0351635, 0.4297104, 0.0317593]
    torch.testing.assert_close(
        v.teachers["t"].features["image"][1, :4], torch.tensor(seen), **close
    )
    spoken = [-0.2726933, -0.2297982, -0.1265152, -0.2123383]
    torch.testing.assert_close(student.class_embeddings()[2, :4], torch.tensor(spoken), **close)
    total = 10 / 4 * PerTeacher(SoftTargets(temperature))(v).mean()
    assert float(total.detach()) == pytest.approx(loss, rel=1e-4)
    total.backward()
    assert float(student.vision.tokens.grad[0].norm()) == pytest.approx(norm, rel=1e-3)
    if temperature > 1:
        return
    norms = [float(p.grad.norm()) for p in student.projector.parameters()]
    wanted = [2.6340230, 0.0, 2.5581689, 3.1249061, 16.5599613, 6.8583117]
    assert float(student.vision.tokens.grad[1].norm()) == pytest.approx(0.5463312, rel=1e-3)
    assert norms == pytest.approx(wanted, rel=1e-3, abs=1e-3)  # none for a bias before the norm
    first = student.projector[1]
    mean = [0.0784787, -0.1752310, 0.2354131, -0.0290377]
    torch.testing.assert_close(first.running_mean[:4], torch.tensor(mean), **close)
    predicted = [
        [-0.5958279, -0.0225946, -0.0226017, -1.1198139],
        [-0.4792228, 0.1197199, 0.1197138, -1.1500902],
    ]
    # In evaluation with the running statistics of one step.
    found = student.eval()(x).logits[[0, 3]].detach()
    torch.testing.assert_close(found, torch.tensor(predicted), rtol=1e-3, atol=1e-3)


def test_attention_changes_nothing_at_the_start_and_only_its_scale_is_moved():
    learned = teacher()
    plain, asking = made(learned=learned), made(learned=learned, attention=Attention())
    for mode in (True, False):
        plain.train(mode), asking.train(mode)
        one, other = plain(pictures()), asking(pictures())
        assert torch.equal(one.logits, other.logits)
        for name in one.features:
            assert torch.equal(one.features[name], other.features[name])
    v = view(asking.train(), learned, pictures())
    PerTeacher(SoftTargets(1.0))(v).mean().backward()
    for name, parameter in asking.attention.named_parameters():
        assert bool(parameter.grad.any()) == (name == "scale")


@pytest.mark.parametrize("attention", [Attention(), Attention(width=5, divisor=2.0)])
def test_attention_equals_a_loop(attention):
    torch.manual_seed(0)
    network = EduAttention(6, attention).double().requires_grad_(False)
    network.scale.data.fill_(0.7)
    image, classes = torch.randn(3, 6).double(), torch.randn(4, 6).double()

    def layer(linear, x):
        return [
            sum(float(w) * float(one) for w, one in zip(row, x, strict=True)) + float(b)
            for row, b in zip(linear.weight, linear.bias, strict=True)
        ]

    divisor = attention.divisor or 6**0.5
    for b in range(3):
        query = layer(network.query, image[b])
        keys = [layer(network.key, one) for one in classes]
        scores = [sum(q * k for q, k in zip(query, key, strict=True)) / divisor for key in keys]
        weights = torch.tensor(scores).softmax(dim=0).tolist()
        values = [layer(network.value, one) for one in classes]
        read = [sum(w * v[d] for w, v in zip(weights, values, strict=True)) for d in range(6)]
        wanted = [float(image[b, d]) + 0.7 * out for d, out in enumerate(layer(network.out, read))]
        found, rows = network.float()(image[b : b + 1].float(), classes.float())
        network.double()
        torch.testing.assert_close(rows[0], torch.tensor(weights), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found[0], torch.tensor(wanted), rtol=1e-4, atol=1e-5)


def test_attention_is_over_all_classes_and_follows_their_order():
    learned = teacher()
    student = made(learned=learned, attention=Attention()).eval()
    student.attention.scale.data.fill_(2.0)
    output = student(pictures())
    rows = output.features["class_attention"]
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(3))
    order = torch.tensor([2, 0, 3, 1])
    other = copy.deepcopy(student)
    other.vectors.copy_(student.vectors[order])
    found = other(pictures())
    torch.testing.assert_close(found.features["class_attention"], rows[:, order])
    torch.testing.assert_close(found.logits, output.logits[:, order])
    enhanced = student.attention(output.features["projected"], student.vectors)[0]
    cosines = F.normalize(enhanced, dim=1) @ student.vectors.mT
    torch.testing.assert_close(output.logits, student.scale * cosines)
    assert not torch.allclose(enhanced, output.features["projected"])


def test_class_embeddings_are_computed_once_and_the_text_tower_is_gone():
    learned = teacher()
    student = made(learned=learned)
    assert learned.encoder.encoded["texts"] == len(NAMES)
    assert torch.equal(student.class_embeddings(), learned.class_embeddings())
    assert float(student.scale) == float(learned.scale)
    for _ in range(3):
        v = view(student.train(), learned, pictures())
        PerTeacher(SoftTargets(1.0))(v).mean().backward()
    student.eval()(pictures())
    assert learned.encoder.encoded["texts"] == len(NAMES)
    # A teacher with other prompts is another teacher: its texts are encoded anew.
    learned.text.tokens.data.mul_(2.0)
    other = made(learned=learned)
    assert learned.encoder.encoded["texts"] == 2 * len(NAMES)
    assert not torch.equal(other.vectors, student.vectors)
    assert not any(
        "text" in name or "token_embedding" in name for name, _ in student.named_modules()
    )
    left = {name for name, _ in student.encoder.model.named_children()}
    assert left == {"visual"}
    with pytest.raises(AttributeError):
        student.encoder.encode_texts(["a cat"])


@pytest.mark.parametrize("attention", [None, Attention()])
def test_a_step_changes_prompts_projector_and_attention_alone(attention):
    learned = teacher()
    student = made(learned=learned, attention=attention).train()
    state = state_hash(learned)
    names = {
        "vision.tokens",
        *(f"projector.{name}" for name, _ in student.projector.named_parameters()),
    }
    if attention is not None:
        names |= {f"attention.{name}" for name, _ in student.attention.named_parameters()}
    assert set(trained(student)) == names
    kept = {name: t.clone() for name, t in student.encoder.model.named_parameters()}
    vectors = student.vectors.clone()
    optimizer = torch.optim.SGD(trained(student).values(), 0.1)
    for _ in range(2):
        v = view(student, learned, pictures())
        loss = PerTeacher(SoftTargets(1.0))(v) + PerTeacher(FeatureStatistics())(v)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    for name, tensor in student.encoder.model.named_parameters():
        assert torch.equal(tensor, kept[name])
    assert torch.equal(student.vectors, vectors)
    assert state_hash(learned) == state
    assert not learned.training
    assert not student.encoder.training
    assert all(p.grad is None for p in learned.parameters())


def test_a_student_that_is_its_teacher_has_nothing_to_learn():
    torch.manual_seed(0)
    learned = teacher(config=IMAGES)
    student = made(
        copy.deepcopy(learned.encoder),
        learned=learned,
        layers=0,
        vision_depth=1,
        attention=Attention(),
    )
    student.vision.load_state_dict(learned.vision.state_dict())
    v = view(student.train(), learned, pictures())
    torch.testing.assert_close(v.student.logits, v.teachers["t"].logits, rtol=0, atol=1e-5)
    loss = PerTeacher(SoftTargets(1.0))(v).mean() + PerTeacher(FeatureStatistics())(v).mean()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    loss.backward()
    assert student.vision.tokens.grad.abs().max() < 1e-5


def test_a_checkpoint_holds_what_was_trained_and_what_was_taken_of_the_teacher():
    student = made(attention=Attention())
    student.train()(pictures())  # moves the running statistics
    student.attention.scale.data.fill_(0.5)
    state = student.state_dict()
    inside = {name for name in state if name.startswith("encoder.")}
    assert inside == {"encoder.fingerprint"}
    assert {
        "vectors",
        "scale",
        "vision.tokens",
        "projector.1.running_var",
        "attention.out.bias",
    } < set(state)
    torch.manual_seed(5)
    # As from a checkpoint: without a teacher, with the size it settled.
    other = DistilledClip(
        NAMES,
        Given(image_encoder(7), "student"),
        vision_depth=2,
        attention=Attention(),
        embed_dim=24,
    )
    other.load_state_dict(state)
    wanted = student.eval()(pictures()).logits
    assert torch.equal(other.eval()(pictures()).logits, wanted)
    for one in (copy.deepcopy(student), pickle.loads(pickle.dumps(student))):
        assert torch.equal(one(pictures()).logits, wanted)
    for key in ("projector.1.running_var", "vision.tokens"):
        gap = {name: tensor for name, tensor in state.items() if name != key}
        with pytest.raises(RuntimeError, match=key):
            other.load_state_dict(gap)
    with pytest.raises(UserError, match="another encoder"):
        made(copy.deepcopy(image_encoder(7))).load_state_dict(
            state | {"encoder.fingerprint": torch.zeros(32)}
        )


def test_projector_and_prompts_do_not_depend_on_the_modules():
    learned = teacher()
    plain, asking = made(learned=learned), made(learned=learned, attention=Attention())
    for name, parameter in trained(plain).items():
        assert torch.equal(parameter, trained(asking)[name])
    for layers, count in ((0, 0), (1, 1), (3, 3)):
        student = made(learned=teacher(config=IMAGES), layers=layers)
        linear = [m for m in student.projector if isinstance(m, torch.nn.Linear)]
        assert len(linear) == count
    assert made(learned=learned, vision_depth=0).vision is None


def test_a_student_may_teach():
    first = made(attention=Attention()).eval()
    student = made(image_encoder(9), learned=first)
    assert torch.equal(student.vectors, first.vectors)
    v = view(student.train(), first, pictures())
    PerTeacher(FeatureStatistics())(v).mean().backward()
    assert bool(student.vision.tokens.grad.any())


def test_what_it_cannot_learn_from_is_refused():
    learned = teacher()
    student = made(learned=learned)
    for teachers, sentence in (
        ({}, "needs exactly one teacher.*found: none"),
        ({"a": learned, "b": learned}, "found: a, b"),
        ({"a": WideResNet(3, 4)}, r"'a' \(WideResNet\) has no class embeddings"),
        (
            {"a": teacher(names=("dog", "cat", "x", "y"))},
            "knows the classes dog, cat, x, y, the student cat",
        ),
    ):
        with pytest.raises(UserError, match=sentence):
            student.adopt(teachers, {})
    with pytest.raises(UserError, match="embed_dim: 16, but the embeddings of teacher 't' have 24"):
        made(learned=learned, embed_dim=16)
    with pytest.raises(
        UserError,
        match="layers: 0, but the teacher's embeddings have 24 numbers and the student's 16",
    ):
        made(learned=learned, layers=0)
    with pytest.raises(ValueError, match="layers: -1"):
        made(learned=learned, layers=-1)
    with pytest.raises(ValueError, match="depth: 3; allowed: 1 to the 2 blocks"):
        made(learned=learned, vision_depth=3)
    for more, sentence in (({"width": 0}, "width: 0"), ({"divisor": 0.0}, "divisor: 0.0")):
        with pytest.raises(ValueError, match=sentence):
            Attention(**more)
    fresh = DistilledClip(NAMES, Given(image_encoder(7)), vision_depth=1)
    with pytest.raises(UserError, match="has no class embeddings yet"):
        fresh(pictures())


def test_both_libraries_give_the_same_student(tmp_path):
    folder = image_folder(tmp_path / "open_clip")
    export_hugging_face(tmp_path / "hugging_face", image_encoder(), IMAGES)
    learned, answers = teacher(), []
    for source in (OpenClip(str(folder)), HuggingFace(str(tmp_path / "hugging_face"))):
        torch.manual_seed(0)
        student = DistilledClip(NAMES, source, vision_depth=2)
        torch.manual_seed(0)
        student.adopt({"t": learned}, {})
        assert not any("text" in name for name, _ in student.named_modules())
        answers.append(student.eval()(pictures()).logits)
    torch.testing.assert_close(*answers, rtol=1e-5, atol=1e-5)


def test_signals_learn_from_a_signal_teacher():
    pair = signal_encoder()
    torch.manual_seed(0)
    names = ("walking", "sitting down")
    learned = PromptedClip(
        names, Given(pair), template="{}.", vision_depth=1, text_depth=0, frozen_templates=None
    )
    student = made(signal_encoder(3), learned=learned.eval(), names=names, vision_depth=1)
    x = torch.randn(3, 2, 32, generator=torch.Generator().manual_seed(0))
    v = view(student.train(), learned, x)
    PerTeacher(SoftTargets(1.0))(v).mean().backward()
    assert bool(student.vision.tokens.grad.any())


def test_mixed_precision_stays_near_and_keeps_cosines_in_float32():
    learned = teacher()
    student = made(learned=learned, attention=Attention()).train()
    student.attention.scale.data.fill_(0.5)
    plain = student(pictures())
    with torch.autocast("cpu", torch.bfloat16):
        found = student(pictures())
    assert found.logits.dtype == torch.float32
    torch.testing.assert_close(found.features["image"].norm(dim=1), torch.ones(3))
    torch.testing.assert_close(found.features["class_attention"].sum(dim=1), torch.ones(3))
    torch.testing.assert_close(found.logits, plain.logits, rtol=0.1, atol=1.0)


def test_only_the_image_side_counts():
    student = On("image", made(), torch.zeros(3), torch.ones(3)).eval()
    size = measure(student.network, (3, 16, 16))
    image = sum(p.numel() for p in student.network.encoder.model.visual.parameters())
    own = sum(p.numel() for p in trained(student.network).values())
    assert size.parameters == image + own
    assert size.macs > 0

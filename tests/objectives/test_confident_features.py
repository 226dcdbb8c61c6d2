"""Last features weighted by the teachers' heads (CA-MKD): the released code, who learns, and any two shapes."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.contract.test_contract import facts as contract_facts
from tests.contract.test_contract import view as random_view
from tests.doubles.teachers import LABELS, facts_of, view_of, wave
from tutelage import losses
from tutelage.models import WideResNet
from tutelage.objectives import ConfidentFeatures
from tutelage.types import Output

F64 = torch.float64


class Head(nn.Module):
    """Pools a map and scores it, with numbers of a formula."""

    last = "b"

    def __init__(self, channels, number):
        super().__init__()
        self.linear = nn.Linear(channels, 5).double().requires_grad_(False)
        self.linear.weight.copy_(3 * wave(5, channels, step=1.1, shift=number))
        self.linear.bias.copy_(wave(5, step=0.5, shift=number))

    def decode(self, feature):
        embedding = feature.flatten(2).mean(dim=2)
        return self.linear(embedding), embedding


def setting(sizes, **options):
    """A student of 3 channels and 4 x 4 positions beside teachers of these (channels, side)."""
    z = torch.zeros(4, 5, dtype=F64)
    student = wave(4, 3, 4, 4, step=0.37, shift=0.1).requires_grad_()
    teachers = [
        Output(z, {"b": wave(4, c, side, side, step=0.23 + 0.11 * k, shift=0.5 * k).abs()})
        for k, (c, side) in enumerate(sizes)
    ]
    view = view_of(Output(z, {"a": student}), teachers)
    heads = {name: Head(sizes[k][0], k) for k, name in enumerate(view.teachers)}
    made = ConfidentFeatures("a", "b", **options)
    made.prepare(facts_of(view, heads=heads))
    made.double()
    for k, name in enumerate(view.teachers):
        weight = made.imitations.embeddings[name][0].weight
        weight.data = wave(*weight.shape, step=0.9, shift=k)
    return made, view


# Rorozhl/CA-MKD@c2f39a9: CalWeight and CAMKD on the tensors of setting(), float64, embeddings in training mode
# (their convolution bias set to 0; the normalisation removes it). Loss; weights of the first sample; sum of the
# absolute gradient at the student's map; first two gradients of the first embedding.
AUTHORS = {
    ((3, 4), (5, 4), (4, 2)): (
        0.1386674884630664,
        [0.4349790698536806, 0.4246961186659439, 0.1403248114803754],
        0.20697151456723467,
        [0.00039148279214978616, 0.00014645360172601618],
    ),
    ((3, 4), (5, 4), (4, 8)): (
        0.14456947632517425,
        [0.40783992474348185, 0.3932649632166578, 0.19889511203986032],
        0.1727635022991635,
        [0.00039107359629942827, 0.00014630118868719276],
    ),
}


@pytest.mark.parametrize("divide", [True, False])
@pytest.mark.parametrize("sizes", AUTHORS)
def test_loss_weights_and_gradients_of_the_released_code(sizes, divide):
    loss, shares, at_student, at_embedding = AUTHORS[sizes]
    factor = 1 if divide else 3  # the paper has no division by the number of teachers
    made, view = setting(sizes, divide_by_teachers=divide)
    judged = made.judge(view)
    found = judged.loss.mean()
    assert found.item() == pytest.approx(factor * loss, rel=1e-9)
    found.backward()
    weights = [row[0].item() for row in judged.traces.values()]
    assert weights == pytest.approx(shares, rel=1e-9)
    gradient = view.student.features["a"].grad.abs().sum().item()
    assert gradient == pytest.approx(factor * at_student, rel=1e-9)
    embedding = made.imitations.embeddings["sig"][0].weight.grad.flatten()[:2].tolist()
    assert embedding == pytest.approx([factor * g for g in at_embedding], rel=1e-6)


def test_the_second_teacher_sees_the_students_own_map():
    # Their code overwrites the student's map in the loop over teachers: behind a teacher of 2 x 2 positions, one
    # of 4 x 4 is compared with what was left, and their loss is 0.2665697595731989 for these two.
    made, view = setting([(3, 2), (5, 4)], divide_by_teachers=True)
    assert made(view).mean().item() != pytest.approx(0.2665697595731989, rel=1e-3)
    swapped, other = setting([(5, 4), (3, 2)], divide_by_teachers=True)
    swapped.imitations.embeddings["sig"], swapped.imitations.embeddings["pi"] = (
        made.imitations.embeddings["pi"],
        made.imitations.embeddings["sig"],
    )
    swapped.heads = {"sig": made.heads["pi"], "pi": made.heads["sig"]}
    teachers = dict(zip(("sig", "pi"), reversed(view.teachers.values()), strict=True))
    torch.testing.assert_close(swapped(replace(other, teachers=teachers)), made(view))


def test_the_loss_equals_a_loop():
    made, view = setting([(3, 4), (5, 2)])
    found = made(view)
    distances, surprise = [], []
    for name, teacher in view.teachers.items():
        target = teacher.features["b"]
        side = target.shape[2]
        x = nn.functional.adaptive_avg_pool2d(view.student.features["a"], side)
        convolution, norm, relu = made.imitations.embeddings[name]
        x = relu(norm(convolution(x)))
        logits = (
            x.mean(dim=(2, 3)) @ made.heads[name].linear.weight.T + made.heads[name].linear.bias
        )
        for b in range(4):
            gaps = (x[b] - target[b]).flatten().tolist()
            distances.append(sum(g * g for g in gaps) / len(gaps))
            scores = logits[b].exp()
            surprise.append(-torch.log(scores[LABELS[b]] / scores.sum()).item())
    for b in range(4):
        own = torch.tensor([surprise[b], surprise[4 + b]], dtype=F64)
        shares = 1 - own.exp() / own.exp().sum()
        expected = shares[0] * distances[b] + shares[1] * distances[4 + b]
        assert found[b].item() == pytest.approx(expected.item(), rel=1e-9)


def test_detached_weights_change_the_gradient_and_not_the_loss():
    values, gradients = [], []
    for detach in (False, True):
        made, view = setting([(3, 4), (5, 4)], detach_weights=detach)
        loss = made(view).mean()
        loss.backward()
        values.append(loss.item())
        gradients.append(view.student.features["a"].grad)
    assert values[0] == values[1]
    assert (gradients[0] - gradients[1]).abs().max() > 1e-6


def test_one_teacher_is_the_plain_distance():
    made, view = setting([(3, 4)])
    target = view.teachers["sig"].features["b"]
    imitation = made.imitations.embeddings["sig"](view.student.features["a"])
    judged = made.judge(view)
    torch.testing.assert_close(judged.loss, losses.mean_square(imitation, target))
    assert all((row == 1).all() for row in judged.traces.values())


def test_heads_stay_out_of_the_distiller_and_frozen():
    v = random_view()
    made = ConfidentFeatures()
    facts = contract_facts(v)
    made.prepare(facts)
    assert all(key.startswith("imitations.embeddings.") for key in made.state_dict())
    before = {n: h.linear.weight.clone() for n, h in facts.heads.items()}
    made.train()
    made(v).sum().backward()
    assert all(p.grad is not None for p in made.parameters())
    for name, head in facts.heads.items():
        assert head.linear.weight.grad is None
        assert torch.equal(head.linear.weight, before[name])


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_student_on_signals_and_on_images_reaches_heads_of_both_kinds(dimensions):
    torch.manual_seed(0)
    size = (4, 2, 32) if dimensions == 1 else (4, 2, 16, 32)
    student = WideResNet(2, 5, depth=10, dimensions=dimensions)
    teachers = {
        "sig": (WideResNet(2, 5, depth=10, width=2, dimensions=1), torch.randn(4, 2, 32)),
        "pi": (WideResNet(3, 5, depth=10, dimensions=2), torch.randn(4, 3, 12, 12)),
        "gaf": (WideResNet(3, 5, depth=10, dimensions=2), torch.randn(4, 3, 64, 40)),
    }
    networks = {name: net.eval().requires_grad_(False) for name, (net, _) in teachers.items()}
    outputs = {name: networks[name](x) for name, (_, x) in teachers.items()}
    view = view_of(student(torch.randn(size)), list(outputs.values()))
    made = ConfidentFeatures(active=False)
    made.prepare(facts_of(view, heads=networks))
    found = made(view)
    found.sum().backward()
    assert found.shape == (4,)
    assert found.isfinite().all()
    assert student.stem.weight.grad.abs().sum() > 0
    # The head of a teacher scores its own feature as the teacher does.
    for name, network in networks.items():
        logits, _ = network.decode(outputs[name].features["stage3"])
        torch.testing.assert_close(logits, outputs[name].logits)


def test_a_signal_embedded_then_repeated_is_a_repeated_signal_embedded():
    z = torch.zeros(4, 5)
    signal, image = torch.randn(4, 3, 10), torch.randn(4, 6, 5, 8)
    view = view_of(Output(z, {"a": signal}), [Output(z, {"b": image})])
    made = ConfidentFeatures("a", "b")
    made.prepare(facts_of(view, heads={"sig": Head(6, 0).float()}))
    convolution, norm, relu = made.imitations.embeddings["sig"]
    repeated = losses.onto(signal, (5, 8))
    values = torch.einsum("oc,bchw->bohw", convolution.weight.squeeze(2), repeated)
    flat = values.transpose(0, 1).flatten(1)
    mean, spread = flat.mean(dim=1), (flat.var(dim=1, correction=0) + norm.eps).sqrt()
    shape = (1, -1, 1, 1)
    by_hand = relu((values - mean.view(shape)) / spread.view(shape))
    torch.testing.assert_close(
        made.imitations("sig", signal, (5, 8)), by_hand, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ((8,), (4,)),
        ((4,), (8,)),
        ((8,), (6, 4)),
        ((6, 8), (3,)),
        ((6, 4), (3, 8)),
        ((2, 2), (2, 2)),
    ],
)
def test_a_map_is_laid_over_any_positions(own, wanted):
    x = torch.randn(2, 3, *own)
    found = losses.onto(x, wanted)
    assert found.shape == (2, 3, *wanted)
    torch.testing.assert_close(losses.onto(torch.ones_like(x), wanted), torch.ones_like(found))


def test_positions_are_averaged_interpolated_and_repeated():
    x = torch.tensor([[[0.0, 2.0, 4.0, 6.0]]])
    assert losses.onto(x, (2,)).tolist() == [[[1.0, 5.0]]]
    assert losses.onto(x, (8,)).tolist() == [[[0.0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.0]]]
    assert losses.onto(x, (3, 2)).tolist() == [[[[1.0, 5.0]] * 3]]
    image = torch.tensor([[[[0.0, 2.0], [4.0, 6.0]]]])
    assert losses.onto(image, (2,)).tolist() == [[[2.0, 4.0]]]


def test_what_cannot_be_laid_out_is_refused():
    for x, wanted in (
        (torch.ones(2, 3), (4,)),
        (torch.ones(2, 3, 4), ()),
        (torch.ones(2, 3, 4), (1, 2, 3)),
    ):
        with pytest.raises(ValueError, match="cannot be laid over positions"):
            losses.onto(x, wanted)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"heads": {}},
            r"teacher 'sig' has no head that scores features \(teachers with one: none\)",
        ),
        ({"teacher_tap": "stage2"}, "'stage2' is not what the head of teacher 'sig' begins with"),
        ({"student_tap": "stage9"}, "no feature 'stage9'"),
        ({"student_tap": "embedding"}, r"shape \[6, 2\] cannot be laid over positions"),
        ({"teachers": ["gif"]}, "unknown teacher 'gif'"),
    ],
)
def test_impossible_requests_are_refused(change, sentence):
    facts = contract_facts(random_view())
    if "heads" in change:
        facts, change = replace(facts, heads=change["heads"]), {}
    with pytest.raises(ValueError, match=sentence):
        ConfidentFeatures(**change).prepare(facts)


def test_the_distance_may_be_a_cosine():
    made, view = setting(((3, 4), (5, 4), (4, 2)), distance="cosine")
    made.eval()
    found = made.judge(view)
    weights = [found.traces[f"weight.{name}"] for name in view.teachers]
    student = view.student.features["a"]
    expected = torch.zeros(4, dtype=F64)
    for weight, (name, teacher) in zip(weights, view.teachers.items(), strict=True):
        target = teacher.features["b"]
        imitation = made.imitations(name, student, target.shape[2:])
        for i in range(4):
            s, t = imitation[i].flatten(), target[i].flatten()
            expected[i] += weight[i] * (1 - (s @ t) / (s.norm() * t.norm()))
    torch.testing.assert_close(found.loss, expected)
    louder = {
        name: Output(teacher.logits, {"b": 7 * teacher.features["b"]})
        for name, teacher in view.teachers.items()
    }
    torch.testing.assert_close(made.judge(replace(view, teachers=louder)).loss, found.loss)

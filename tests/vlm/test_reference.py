"""Encoders that stay out of checkpoints."""

import copy
import pickle

import pytest
import torch
from torch import nn

from tests.vlm.small import image_encoder, signal_encoder
from tutelage.errors import UserError
from tutelage.vlm.reference import by_reference

pytest.importorskip("open_clip")


class Owner(nn.Module):
    def __init__(self, fingerprint="this", encoder=image_encoder):
        super().__init__()
        self.encoder = encoder()
        self.own = nn.Linear(2, 2)
        by_reference(self.encoder, fingerprint)


@pytest.mark.parametrize("encoder", [image_encoder, signal_encoder])
def test_the_state_names_the_encoder_and_loads_beside_it(encoder):
    one, other = Owner(encoder=encoder), Owner(encoder=encoder)
    state = one.state_dict()
    assert sorted(state) == ["encoder.fingerprint", "own.bias", "own.weight"]
    before = {name: value.clone() for name, value in other.named_parameters()}
    nn.Sequential(other).load_state_dict({f"0.{key}": value for key, value in state.items()})
    assert torch.equal(other.own.weight, one.own.weight)
    for name, value in other.encoder.named_parameters():
        assert torch.equal(value, before[f"encoder.{name}"])
    assert sorted(state) == ["encoder.fingerprint", "own.bias", "own.weight"]
    assert sum(p.numel() for p in one.parameters()) > 1000  # they still count


def test_another_encoder_is_refused():
    with pytest.raises(UserError, match="another encoder"):
        Owner("that").load_state_dict(Owner("this").state_dict())
    state = Owner("this").state_dict()
    del state["encoder.fingerprint"]
    with pytest.raises(UserError, match="another encoder"):
        Owner("this").load_state_dict(state)


def test_loading_stays_strict_about_the_rest():
    state = Owner().state_dict()
    del state["own.bias"]
    with pytest.raises(RuntimeError, match=r"own\.bias"):
        Owner().load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"encoder\.more"):
        Owner().load_state_dict(Owner().state_dict() | {"encoder.more": torch.zeros(1)})


def test_copies_are_by_reference_too():
    one = Owner()
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        other.load_state_dict(one.state_dict())
        assert list(other.state_dict()) == list(one.state_dict())

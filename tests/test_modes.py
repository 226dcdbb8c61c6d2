import pytest
from torch import nn

from tutelage.modes import evaluating


def test_every_part_is_in_its_mode_again() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())
    network.train()
    network[1].eval()  # frozen by hand: a plain network.train() afterwards would wake it up
    with pytest.raises(ZeroDivisionError), evaluating(network):
        assert not any(part.training for part in network.modules())
        raise ZeroDivisionError
    assert [part.training for part in network.modules()] == [True, True, False]

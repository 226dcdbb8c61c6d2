"""Hard answers of a teacher, against a loop."""

import math

import torch

from tutelage.terms import PseudoLabels
from tutelage.types import Batch, Clock, Output, View


def test_it_is_the_cross_entropy_with_what_a_sure_teacher_says():
    torch.manual_seed(0)
    student, teacher = torch.randn(40, 5), 2 * torch.randn(40, 5)
    batch = Batch({}, torch.full((40,), -1), torch.arange(40))
    view = View(Output(student), {"t": Output(teacher)}, batch, Clock())
    found = PseudoLabels(0.6)(Output(student), Output(teacher), view).tolist()
    counted = 0
    for row, said, value in zip(student.tolist(), teacher.tolist(), found, strict=True):
        shares = [math.exp(x) / sum(map(math.exp, said)) for x in said]
        sure = max(shares) >= 0.6
        log_sum = math.log(sum(map(math.exp, row)))
        wanted = log_sum - row[shares.index(max(shares))] if sure else 0.0
        assert abs(value - wanted) < 1e-5
        counted += sure
    assert 0 < counted < 40

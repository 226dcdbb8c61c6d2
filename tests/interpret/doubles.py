"""Networks small enough to know everything about them."""

import torch
from torch import nn

from tutelage.models import Network
from tutelage.types import ConceptStream, Explanation, Output


def confined(values, classes):
    """Keep of the last axis these classes: [K], or of each sample [B, K]."""
    if classes.ndim == 1:
        return values[..., classes]
    return torch.stack([row[..., own] for row, own in zip(values, classes, strict=True)])


class Linear(Network):
    """Scores are linear in the inputs: concept m at place p adds x[m, p] * weight[p, m, n]; channels are concepts.

    With ``lie`` the explanation claims so much more for each concept and class than it does.
    """

    def __init__(self, concepts, space, classes, seed=0, lie=0.0):
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        places = int(torch.tensor(space).prod())
        self.weight = nn.Parameter(torch.randn(places, concepts, classes, generator=random))
        self.bias = nn.Parameter(torch.randn(classes, generator=random))
        self.space, self.lie = tuple(space), lie

    def parts(self, x):
        return x.flatten(2).transpose(1, 2).unsqueeze(3) * self.weight  # [B, L, M, N]

    def forward(self, x):
        return Output(self.parts(x).sum(dim=(1, 2)) + self.bias)

    def explain(self, x, classes=None):
        parts = self.parts(x) + self.lie
        bias = self.bias.expand(len(x), -1)
        if classes is not None:
            parts, bias = confined(parts, classes), confined(bias, classes)
        attention = torch.softmax(x.flatten(2).transpose(1, 2), dim=2)
        names = tuple(f"channel {m}" for m in range(x.shape[1]))
        return Explanation({"spatial": ConceptStream(names, self.space, attention, parts)}, bias)

    def without(self, x, stream, concept):
        kept = self.parts(x).clone()
        kept[:, :, concept] = 0
        return kept.sum(dim=(1, 2)) + self.bias


class Asking(Network):
    """Each place is a vector of D channels and asks D concepts by a query matrix; the identity finds its channel.

    A place that holds channel m alone attends to concept m; scores are linear in the attention.
    """

    def __init__(self, size, space, classes, seed=0):
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.query = nn.Linear(size, size, bias=False)
        self.query.weight.data = 9.0 * torch.eye(size)
        self.value = nn.Linear(size, classes)
        self.value.weight.data = torch.randn(classes, size, generator=random)
        self.space = tuple(space)
        self.noise = 0.0

    def attention(self, x):
        asked = self.query(x.flatten(2).transpose(1, 2))
        if self.noise:
            asked = asked + self.noise * torch.randn_like(asked)
        return torch.softmax(asked, dim=2)

    def forward(self, x):
        return Output(self.value(self.attention(x)).mean(dim=1))

    def explain(self, x, classes=None):
        attention = self.attention(x)
        parts = attention[..., None] * self.value.weight.T / attention.shape[1]
        bias = self.value.bias.expand(len(x), -1)
        if classes is not None:
            parts, bias = confined(parts, classes), confined(bias, classes)
        names = tuple(f"channel {m}" for m in range(x.shape[1]))
        return Explanation({"spatial": ConceptStream(names, self.space, attention, parts)}, bias)

    def without(self, x, stream, concept):
        attention = self.attention(x).clone()
        attention[:, :, concept] = 0
        return self.value(attention).mean(dim=1)


def inputs(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))

"""A network as the operations a device will do, in their order: what is folded, and where values are coded."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from tutelage.types import Output

__all__ = ["Operation", "QuantisationPlan", "make_plan", "moved"]

_RELU = (nn.ReLU, F.relu, torch.relu, "relu")
_ADD = (torch.add, operator.add, operator.iadd, "add")
_SHAPE = (
    torch.flatten,
    torch.squeeze,
    torch.unsqueeze,
    "unsqueeze",
    "squeeze",
    "flatten",
    "transpose",
    nn.Flatten,
)
_IDLE = (nn.Identity, nn.Dropout, nn.Dropout2d)


@dataclass(frozen=True)
class Operation:
    """One operation of a device; its result is coded unless it only moves numbers.

    Args:
        name: of its result.
        kind: ``convolution``, ``linear``, ``norm`` (a batch normalisation that is in no convolution), ``add``,
            ``mean``, ``relu``, ``pool`` (of maxima) or ``shape``.
        inputs: names of what it reads.
        layer: the module, by its name in the network; empty where it has none.
        norm: the batch normalisation that is folded into it, likewise.
        active: whether a ReLU follows before the result is coded.
        arguments: of an operation that only moves numbers, after its input.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    layer: str = ""
    norm: str = ""
    active: bool = False
    target: Any = None
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def coded(self) -> bool:
        """Whether the result has a range of its own."""
        return self.kind not in ("shape", "pool")


@dataclass(frozen=True)
class QuantisationPlan:
    """The operations of a network.

    Args:
        source: name of the input.
        operations: in their order.
        logits: name of the scores.
        features: name of a feature -> name of the value.
    """

    source: str
    operations: tuple[Operation, ...]
    logits: str
    features: Mapping[str, str]


def make_plan(network: nn.Module) -> QuantisationPlan:
    """Return what a network does, for a device.

    Args:
        network: returns an :class:`~tutelage.types.Output`.

    Raises:
        ValueError: it does something that is not simulated; the sentence names it.
    """
    kind = type(network).__name__
    try:
        graph = _Tracer().trace(network)
    except Exception as error:  # whatever code that looks at values raises when there are none
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"{kind} cannot be followed without data ({reason}); allowed for int8: networks of convolutions, "
            "batch normalisation, ReLU, sums, means and linear layers"
        ) from error
    reader = _Reader(dict(network.named_modules()), kind)
    for node in graph.nodes:
        reader.read(node)
    return reader.plan()


class _Tracer(fx.Tracer):
    """Follows a network whose result is an ``Output``: the graph returns its logits and its features."""

    def create_arg(self, a: Any) -> Any:
        """Return a value as a graph holds it."""
        if isinstance(a, Output):
            return super().create_arg((a.logits, dict(a.features)))
        return super().create_arg(a)


class _Reader:
    """Reads the nodes of a traced network one after the other."""

    def __init__(self, modules: Mapping[str, nn.Module], kind: str) -> None:
        self.modules, self.kind = modules, kind
        self.operations: dict[str, Operation] = {}
        self.same: dict[str, str] = {}  # node -> the value it is, where nothing is computed
        self.shared: set[str] = (
            set()
        )  # values that several nodes read, though each node has one reader
        self.source = ""
        self.output: Any = None

    def read(self, node: fx.Node) -> None:
        """Take in one node."""
        if node.op == "placeholder":
            self.source = self.same[node.name] = node.name
        elif node.op == "output":
            self.output = node.args[0]
        elif node.op in ("call_module", "call_function", "call_method"):
            self._call(node)
        else:
            self._refuse(node.name)

    def _call(self, node: fx.Node) -> None:
        target: Any = node.target
        module = self.modules[target] if node.op == "call_module" else None
        what = target if module is None else type(module)
        if what in _RELU:
            self._activate(node)
        elif what in _IDLE:
            self._pass(node)
        elif what is nn.Conv2d or what is nn.Linear:
            self._layer(node, "convolution" if what is nn.Conv2d else "linear")
        elif what is nn.BatchNorm2d:
            self._normalise(node)
        elif what in _ADD and len(_nodes(node.args)) == 2:
            self._compute(node, "add")
        elif what in (torch.mean, "mean"):
            self._compute(node, "mean", target)
        elif what is nn.MaxPool2d:
            self._compute(node, "pool", layer=target)
        elif what in _SHAPE:
            self._compute(node, "shape", target, "" if module is None else target)
        else:
            self._refuse(what if isinstance(what, str) else what.__name__)

    def _pass(self, node: fx.Node) -> None:
        (source,) = _nodes(node.args)
        self.same[node.name] = self._value(source)
        if len(source.users) > 1:
            self.shared.add(self._value(source))

    def _layer(self, node: fx.Node, kind: str) -> None:
        layer: Any = self.modules[str(node.target)]
        if kind == "convolution" and layer.padding_mode != "zeros":
            self._refuse(f"a convolution padded with {layer.padding_mode}")
        self._compute(node, kind, layer=str(node.target))

    def _compute(self, node: fx.Node, kind: str, target: Any = None, layer: str = "") -> None:
        inputs = tuple(self._value(each) for each in _nodes(node.args))
        rest = tuple(each for each in node.args if not isinstance(each, fx.Node))
        self.same[node.name] = node.name
        self.operations[node.name] = Operation(
            node.name, kind, inputs, layer, target=target, arguments=rest, options=dict(node.kwargs)
        )

    def _normalise(self, node: fx.Node) -> None:
        """Fold a batch normalisation into the convolution before it, where nothing else reads that one."""
        before = self._before(node)
        if (
            before is not None
            and before.kind == "convolution"
            and not (before.norm or before.active)
        ):
            self._becomes(node, replace(before, norm=str(node.target)))
        else:
            self._compute(node, "norm", layer=str(node.target))

    def _activate(self, node: fx.Node) -> None:
        before = self._before(node)
        if before is not None and before.kind in ("convolution", "linear", "norm", "add"):
            self._becomes(node, replace(before, active=True))
        else:
            self._compute(node, "relu")

    def _before(self, node: fx.Node) -> Operation | None:
        """Return the operation that only this node reads."""
        (source,) = _nodes(node.args)
        name = self._value(source)
        alone = len(source.users) == 1 and name not in self.shared
        return self.operations.get(name) if alone else None

    def _becomes(self, node: fx.Node, changed: Operation) -> None:
        self.operations[changed.name] = changed
        self.same[node.name] = changed.name

    def _value(self, node: Any) -> str:
        return self.same[node.name]

    def _refuse(self, what: str) -> None:
        raise ValueError(
            f"{self.kind} uses {what}, which is not simulated as int8 (allowed: Conv2d, BatchNorm2d, ReLU, sums, "
            "means, MaxPool2d, Linear)"
        )

    def plan(self) -> QuantisationPlan:
        """Return what was read."""
        logits, features = self.output
        return QuantisationPlan(
            self.source, tuple(self.operations.values()), self._value(logits),
            {str(name): self._value(value) for name, value in features.items()},
        )  # fmt: skip


def _nodes(arguments: Sequence[Any]) -> list[fx.Node]:
    return [each for each in arguments if isinstance(each, fx.Node)]


def moved(operation: Operation, x: Tensor, modules: Callable[[str], nn.Module]) -> Tensor:
    """Return what an operation that only moves numbers, or takes their mean, makes of a value."""
    if operation.layer:
        found: Tensor = modules(operation.layer)(x)
    elif isinstance(operation.target, str):
        found = getattr(x, operation.target)(*operation.arguments, **operation.options)
    else:
        found = operation.target(x, *operation.arguments, **operation.options)
    return found

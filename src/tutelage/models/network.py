"""What every network is, and what it may do besides predicting."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.types import Explanation, Output

__all__ = ["Network", "as_network", "concept_numbers", "network_class", "only_teacher"]


class Network(nn.Module, ABC):
    """From standardised inputs to class scores, with answers to all that an experiment asks of a network.

    Only :meth:`forward` must be written. What else a network can do it says by writing that method, too; the ones
    here do nothing, or refuse.

    Attributes:
        as_is: inputs are read as the data set gives them, images in [0, 1], not standardised.
        channels_last: its convolutions may have their weights in another memory order, which is faster; a forward
            pass that takes ``view`` of a feature map could not.
        last: name of the feature of the last stage; empty where there is none.
        concept_names: names of the concepts that are attended to, by scope.

    Shapes:
        [B, channels, ...] -> logits [B, classes] and named features.
    """

    as_is: ClassVar[bool] = False
    channels_last: ClassVar[bool] = False
    last: str = ""
    concept_names: Mapping[str, tuple[str, ...]] = {}
    __call__: Callable[..., Output]

    @abstractmethod
    def forward(self, x: Tensor) -> Output:
        """Return logits and features of inputs."""

    def sense(self, x: Tensor, mean: Tensor) -> Tensor:
        """Return inputs, [B, channels, ...] not standardised yet, as a device's sensor hands them over."""
        return x

    @classmethod
    def content(cls, described: Mapping[str, Any]) -> str:
        """Return what a run depends on besides a network's arguments, such as the content of a file they name.

        Args:
            described: the arguments, as the recipe states them.
        """
        return ""

    @classmethod
    def adopts(cls) -> bool:
        """Return whether :meth:`adopt` looks at teachers."""
        return cls.adopt is not Network.adopt

    @classmethod
    def knows_names(cls) -> bool:
        """Return whether classes are known by their names, so that :meth:`ask` changes them."""
        return cls.ask is not Network.ask

    @classmethod
    def fits_labels(cls) -> bool:
        """Return whether :meth:`fit_once` looks at training samples and their labels."""
        return cls.fit_once is not Network.fit_once

    @classmethod
    def decodes(cls) -> bool:
        """Return whether there is a head that can be asked about a feature, see :meth:`decode`."""
        return cls.decode is not Network.decode

    @classmethod
    def explains(cls) -> bool:
        """Return whether scores can be taken apart: both :meth:`explain` and :meth:`without` are written."""
        return cls.explain is not Network.explain and cls.without is not Network.without

    def adopt(
        self, teachers: Mapping[str, "Network"], outputs: Mapping[str, Output]
    ) -> dict[str, Any]:
        """Take what follows from the teachers, before training.

        Args:
            teachers: the networks.
            outputs: what each gives for one sample.

        Returns:
            The arguments that build the same network without teachers.

        Raises:
            UserError: the teachers do not fit.
        """
        return {}

    def fit_once(
        self, inputs: Tensor, labels: Tensor, class_names: Sequence[str]
    ) -> dict[str, Any]:
        """Take what follows from the training samples, before training.

        Args:
            inputs: of the training samples, as they are stored, [n, ...].
            labels: their classes, [n].
            class_names: N names.

        Returns:
            The arguments that build the same network without data.

        Raises:
            UserError: the samples do not fit.
        """
        return {}

    def start(self, other: "Network") -> None:
        """Begin with the weights of another network.

        Raises:
            RuntimeError: it has other layers or sizes.
        """
        self.load_state_dict(other.state_dict())

    def ask(self, class_names: Sequence[str]) -> None:
        """Ask for other classes from now on; what was learned stays."""
        raise NotImplementedError(f"{type(self).__name__} does not know classes by their names")

    def restrict_classes(self, class_names: Sequence[str]) -> None:
        """Let only these classes compete in training; networks with fixed classes let all of them."""
        return

    @property
    def variants(self) -> tuple[str, ...]:
        """Other modes a prediction may run in; they are evaluated beside the chosen one."""
        return ()

    def predicting(self, mode: str) -> AbstractContextManager[None]:
        """Predict in another mode for the length of a ``with`` block.

        Args:
            mode: one of ``variants``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no mode {mode!r}")

    def decode(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [B, C] and embedding of the feature named ``last``."""
        raise NotImplementedError(f"{type(self).__name__} has no head that can be asked")

    def explain(self, x: Tensor, classes: Tensor | None = None) -> Explanation:
        """Take the scores of inputs apart: what each concept at each place adds to each of them.

        Args:
            x: inputs, [B, channels, ...].
            classes: class numbers to which the contributions are confined, [K] or, of each sample, [B, K]; all
                unless given.
        """
        raise NotImplementedError(f"{type(self).__name__} does not explain its scores")

    def without(self, x: Tensor, stream: str, concept: int | Sequence[int]) -> Tensor:
        """Return the logits, [B, N], when one concept of a stream, or several, say nothing."""
        raise NotImplementedError(f"{type(self).__name__} does not explain its scores")


def network_class(cls: type[nn.Module]) -> type[Network]:
    """Return a class of networks: the given one, or for a plain module of the user's own one with the defaults.

    That has the name of the given class and is derived from it, so what the module itself writes counts.
    """
    if issubclass(cls, Network):
        return cls
    return cast(type[Network], _derived(cast(Any, cls)))


@cache
def _derived(cls: Any) -> Any:
    about = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, Network), about)


def as_network(module: nn.Module) -> Network:
    """Return a module as a network; a plain one changes its class, not its layers, nor their names or modes."""
    kind = network_class(type(module))
    if not isinstance(module, kind):
        module.__class__ = kind
    assert isinstance(module, Network), "its class is one of networks"
    return module


def only_teacher(teachers: Mapping[str, Network], wanted: str) -> tuple[str, Network]:
    """Return name and network of the one teacher.

    Args:
        teachers: the networks.
        wanted: what needs one teacher, and what for.

    Raises:
        UserError: there is none, or more than one.
    """
    if len(teachers) != 1:
        raise UserError(f"{wanted} (found: {', '.join(teachers) or 'none'})")
    (pair,) = teachers.items()
    return pair


def concept_numbers(
    names: Mapping[str, Sequence[str]], stream: str, concept: int | Sequence[int]
) -> list[int]:
    """Return one concept of a stream, or several, as a list.

    Args:
        names: of the concepts of each stream.
        stream: of these concepts.
        concept: their numbers.

    Raises:
        ValueError: there is no such stream or concept.
    """
    numbers = [concept] if isinstance(concept, int) else list(concept)
    count = len(names.get(stream, ()))
    if not count or not all(0 <= number < count for number in numbers):
        allowed = ", ".join(f"{name} 0 to {len(of) - 1}" for name, of in names.items())
        raise ValueError(f"found concepts {numbers} of stream {stream!r}; allowed: {allowed}")
    return numbers

"""One training in several processes: each passes its part of a batch through the network, all see the whole of it.

A loss that compares samples with one another is the loss of the whole batch only where it sees the whole batch. So
what the network says of the parts is put together before any objective is asked, with gradient, and batch
normalisation takes its statistics over all parts: the numbers are those of one process, up to rounding.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Protocol, final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tutelage.types import Batch, Output

__all__ = ["Divided", "Ranks", "answers"]


class _Launched(Protocol):
    """What is needed of Lightning Fabric."""

    device: torch.device
    world_size: int
    global_rank: int

    def autocast(self) -> AbstractContextManager[Any]: ...

    def backward(self, tensor: Tensor) -> None: ...


@final
class Ranks:
    """Several processes that train one network, as the device of a step.

    Every process draws the same batches and makes the same step; only the network's passes are divided. The
    gradient is that of one process: each process counts ``1 / size`` of the loss, what the network said flows back
    to the process that said it, and the gradients of all processes are added up.

    Random numbers that a network draws for every sample (dropout, ``randn_like``) are those of the whole batch, of
    which each process uses its part; any others differ between processes. Objectives draw the same everywhere.

    Args:
        fabric: Lightning Fabric, launched in several processes.
    """

    def __init__(self, fabric: _Launched) -> None:
        self.fabric = fabric
        self.size, self.rank = fabric.world_size, fabric.global_rank

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self.fabric.device

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the precision context of forward passes."""
        return self.fabric.autocast()

    def backward(self, tensor: Tensor) -> None:
        """Back-propagate this process' share of the loss; :meth:`add_gradients` completes it."""
        self.fabric.backward(tensor / self.size)

    def forward(self, network: nn.Module, batch: Batch) -> Output:
        """Return what the network says of a whole batch, of which this process passes its part.

        Features are put together when they are asked for, which every process must do in the same order.

        Raises:
            ValueError: there are fewer samples than processes.
        """
        total = len(batch.labels)
        if total < self.size:
            raise ValueError(f"a batch of {total} samples cannot be divided among {self.size}")
        rows = self._rows(total)
        with _streams(self.rank, self.device) as common, _AsOne(rows, total, common):
            output: Output = network(batch.rows(rows))
        features = _Whole(output.features, lambda own: self.whole(own, total))
        return Output(self.whole(output.logits, total), features)

    def whole(self, own: Tensor, total: int) -> Tensor:
        """Return the rows of all processes in order, [total, ...]; differentiable."""
        rows = self._rows(total)
        before = own.new_zeros(rows.start, *own.shape[1:])
        after = own.new_zeros(total - rows.stop, *own.shape[1:])
        return _added(torch.cat([before, own, after]))

    def gradient(self, loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the gradient of a loss of the whole batch, the sum over all processes; the graph is kept."""
        own = torch.autograd.grad(
            loss / self.size,
            parameters,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        for gradient in own:
            dist.all_reduce(gradient)
        return own

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by the sum over all processes."""
        mine = [p.grad for p in parameters if p.grad is not None]
        for kind in sorted({g.dtype for g in mine}, key=str):
            gradients = [g for g in mine if g.dtype == kind]
            flat = torch.cat([g.flatten() for g in gradients])
            dist.all_reduce(flat)
            start = 0
            for gradient in gradients:
                gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
                start += gradient.numel()

    def wait(self) -> None:
        """Return when every process has come here."""
        dist.barrier()

    def _rows(self, total: int) -> slice:
        return slice(total * self.rank // self.size, total * (self.rank + 1) // self.size)


def answers(device: object, index: Tensor, ask: Callable[[Tensor], Tensor]) -> Tensor:
    """Return what a network says of these samples; among several processes each asks about its part.

    Args:
        device: a :class:`Ranks`, or any other device of one process.
        index: sample ids, [n].
        ask: sample ids -> [n, ...], on the CPU.
    """
    if not isinstance(device, Ranks) or len(index) < device.size:
        return ask(index)
    own = ask(index[device._rows(len(index))])
    return device.whole(own.to(device.device), len(index)).cpu()


class _Whole(Mapping[str, Tensor]):
    """Features of a whole batch, put together when they are asked for."""

    def __init__(self, own: Mapping[str, Tensor], gather: Callable[[Tensor], Tensor]) -> None:
        self.own, self.gather = own, gather
        self.whole: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.whole:
            self.whole[name] = self.gather(self.own[name])
        return self.whole[name]

    def __contains__(self, name: object) -> bool:
        return name in self.own

    def __iter__(self) -> Iterator[str]:
        return iter(self.own)

    def __len__(self) -> int:
        return len(self.own)


def _added(x: Tensor) -> Tensor:
    """Return the sum over processes; its gradient is the sum over processes, too."""
    total: Tensor = all_reduce(x)  # type: ignore[no-untyped-call]
    return total


class _AsOne(TorchFunctionMode):
    """Inside, what connects the samples of a batch connects those of all processes.

    Batch normalisation takes its statistics over all parts, and random numbers that are drawn for every sample are
    drawn for the whole batch. The networks stay as they are: modules, checkpoints and copies know nothing of it.
    ``torch.nn.SyncBatchNorm`` would replace modules, and refuses the CPU.

    Args:
        rows: of this process.
        total: samples of the whole batch.
        common: random stream that is the same in all processes.
    """

    def __init__(self, rows: slice, total: int, common: torch.Generator) -> None:
        super().__init__()
        self.rows, self.total, self.common = rows, total, common

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.batch_norm:
            return _batch_norm(_Call(*args, **kwargs))
        if func is torch.randn_like and self._by_sample(args[0]):
            return self._whole(args[0]).normal_(generator=self.common)[self.rows]
        if func is functional.dropout and self._by_sample(args[0]):
            return self._dropout(*args, **kwargs)
        return func(*args, **kwargs)

    def _by_sample(self, x: Tensor) -> bool:
        return x.ndim > 0 and len(x) == self.rows.stop - self.rows.start

    def _whole(self, x: Tensor) -> Tensor:
        return x.new_empty(self.total, *x.shape[1:])

    def _dropout(
        self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or not 0 < p < 1:
            return functional.dropout(x, p, training, inplace)
        kept = self._whole(x).bernoulli_(1 - p, generator=self.common)[self.rows] / (1 - p)
        return x.mul_(kept) if inplace else x * kept


class _Call(NamedTuple):
    """The arguments of ``torch.nn.functional.batch_norm``."""

    x: Tensor
    running_mean: Tensor | None
    running_var: Tensor | None
    weight: Tensor | None = None
    bias: Tensor | None = None
    training: bool = False
    momentum: float = 0.1
    eps: float = 1e-5


def _batch_norm(call: _Call) -> Tensor:
    """Return the batch normalisation of the parts of all processes as one batch."""
    if not call.training:
        return functional.batch_norm(*call)
    x = call.x if call.x.dtype == torch.float64 else call.x.float()
    over = [axis for axis in range(x.ndim) if axis != 1]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    count = _added(x.new_tensor(x.numel() / x.shape[1]))
    mean = _added(x.sum(dim=over)) / count
    centred = x - mean.view(shape)
    variance = _added(centred.square().sum(dim=over)) / count
    if call.running_mean is not None and call.running_var is not None:
        with torch.no_grad():
            unbiased = variance * (count / (count - 1))
            call.running_mean.lerp_(mean.to(call.running_mean), call.momentum)
            call.running_var.lerp_(unbiased.to(call.running_var), call.momentum)
    normal: Tensor = centred * (variance + call.eps).rsqrt().view(shape)
    if call.weight is not None:
        normal = normal * call.weight.view(shape)
    if call.bias is not None:
        normal = normal + call.bias.view(shape)
    return normal.to(call.x.dtype)


@contextmanager
def _streams(rank: int, device: torch.device) -> Iterator[torch.Generator]:
    """Provide the stream of random numbers as it goes on alike in all processes.

    Draws inside that do not use it differ between processes.
    """
    common = torch.Generator(device)
    cuda = device.type == "cuda"
    state = torch.cuda.get_rng_state(device) if cuda else torch.get_rng_state()
    common.set_state(state)
    with torch.random.fork_rng([device] if cuda else []):
        torch.manual_seed(int(torch.randint(2**62, ())) + rank)
        yield common
    if cuda:
        torch.cuda.set_rng_state(common.get_state(), device)
    else:
        torch.set_rng_state(common.get_state())


@final
class Divided(nn.Module):
    """A network that passes only its process' part of a batch, and says what all of them say."""

    def __init__(self, network: nn.Module, ranks: Ranks) -> None:
        super().__init__()
        self.network, self.ranks = network, ranks

    def forward(self, batch: Batch) -> Output:
        """Return the output for the whole batch."""
        return self.ranks.forward(self.network, batch)

"""Samples that the student got wrong, with what the teachers said of them."""

from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor

from tutelage.types import Batch, Output


class HardBuffer:
    """Rows of past batches: the first ones seen, replaced little by little by misclassified ones.

    It is filled with samples as they come until it is full; from then on every misclassified sample takes the
    place of one drawn at random. Inputs are kept as the student saw them, augmented or not, and teachers with
    logits and features (not with similarity maps: those belong to whole batches). Draws come from the global
    random stream, which training seeds in every epoch.

    Args:
        size: number of samples, at least that of a batch.

    Source:
        Rorozhl/MMKD ``HardBuffer``. Differs: it becomes full with every batch size, theirs only with divisors of
        ``size``.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.rows: dict[str, Tensor] = {}

    def __len__(self) -> int:
        """Return the number of samples held."""
        return len(self.rows["batch/labels"]) if self.rows else 0

    def add(self, batch: Batch, teachers: Mapping[str, Output], wrong: Tensor) -> None:
        """Take in a batch.

        Args:
            batch: as the student saw it.
            teachers: what the teachers said of it.
            wrong: which samples the student misclassified, [B], bool.
        """
        new, room = _rows(batch, teachers), self.size - len(self)
        if room:
            first = {key: values[:room].detach() for key, values in new.items()}
            held = self.rows or {key: values[:0] for key, values in first.items()}
            self.rows = {key: torch.cat([held[key], values]) for key, values in first.items()}
            return
        chosen = wrong.nonzero().squeeze(1)
        places = torch.randperm(self.size)[: len(chosen)]
        for key, values in self.rows.items():
            source = new[key].detach()
            values[places.to(values.device)] = source[chosen.to(source.device)]

    def draw(self, count: int) -> tuple[Batch, dict[str, Output]]:
        """Return this many different samples, drawn at random: a batch and what the teachers said of it."""
        chosen = torch.randperm(len(self))[:count]
        return _batch({key: rows[chosen.to(rows.device)] for key, rows in self.rows.items()})

    def restore(self, rows: Mapping[str, Tensor], device: torch.device) -> None:
        """Take back the rows of an earlier sitting; sample ids stay on the CPU, as in a batch."""
        self.rows = {
            key: values.clone() if key.endswith("index") else values.clone().to(device)
            for key, values in rows.items()
        }


def _rows(batch: Batch, teachers: Mapping[str, Output]) -> dict[str, Tensor]:
    """Return everything that has one row per sample, by path."""
    nested = ("inputs", "concepts")
    columns = {f.name: getattr(batch, f.name) for f in fields(Batch) if f.name not in nested}
    rows = {f"batch/{key}": values for key, values in columns.items() if values is not None}
    rows |= {f"inputs/{key}": values for key, values in batch.inputs.items()}
    rows |= {f"concepts/{key}": values for key, values in batch.concepts.items()}
    for name, output in teachers.items():
        rows[f"teachers/{name}/logits"] = output.logits
        rows |= {f"teachers/{name}/features/{t}": v for t, v in output.features.items()}
    return rows


def _batch(rows: Mapping[str, Tensor]) -> tuple[Batch, dict[str, Output]]:
    """Return the batch and the outputs whose rows these are."""

    def below(path: str) -> dict[str, Tensor]:
        return {key.removeprefix(path): rows[key] for key in rows if key.startswith(path)}

    names = [key.split("/")[1] for key in rows if key.startswith("teachers/")]
    teachers = {
        name: Output(rows[f"teachers/{name}/logits"], below(f"teachers/{name}/features/"))
        for name in dict.fromkeys(names)
    }
    return Batch(below("inputs/"), concepts=below("concepts/"), **below("batch/")), teachers

from dataclasses import fields

import torch

from tutelage.types import Batch


def a_batch() -> Batch:
    return Batch(
        {"signal": torch.arange(8.0).reshape(4, 2)},
        torch.arange(4),
        torch.arange(4) + 10,
        {"global": torch.rand(4, 3)},
        torch.tensor([3, 2, 1, 0]),
        torch.rand(4),
        torch.arange(4) + 20,
    )


def test_rows_and_to_change_every_field_of_a_batch() -> None:
    batch = a_batch()
    some = batch.rows(torch.tensor([2, 0]))
    moved = batch.to("meta")
    for field in fields(Batch):
        value, part, other = (getattr(b, field.name) for b in (batch, some, moved))
        pairs = (
            zip(value.values(), part.values(), other.values(), strict=True)
            if isinstance(value, dict)
            else [(value, part, other)]
        )
        for whole, rows, there in pairs:
            assert torch.equal(rows, whole[[2, 0]])
            assert there.device.type == ("cpu" if "index" in field.name else "meta")
    assert len(some) == 2


def test_a_mask_keeps_the_order() -> None:
    kept = a_batch().rows(torch.tensor([True, False, True, True]))
    assert kept.index.tolist() == [10, 12, 13]

"""One random stream per purpose, derived from the seed of the run and nothing else."""

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose of one run.

    The stage's name is not part of it: two stages with one seed start from the same initialisation and see
    the samples in the same order, so their difference is the method's and not the luck's.

    Examples:
        >>> derive(0, "order", 3) == derive(0, "order", 3) != derive(0, "order", 4)
        True
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for one purpose of one run."""
    return torch.Generator().manual_seed(derive(seed, *purpose))

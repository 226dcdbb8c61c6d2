"""Tensors by formula: golden numbers are computed on the same ones."""

import math

import torch


def wave(*shape, step=1.0, phase=0.0):
    """sin(step · n + phase) in float64, filled row by row."""
    count = math.prod(shape)
    return torch.sin(step * torch.arange(count, dtype=torch.float64) + phase).reshape(*shape)

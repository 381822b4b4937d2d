"""How well two label maps agree."""

import torch
from jaxtyping import Int
from torch import Tensor


def confusion(found: Int[Tensor, "*n"], truth: Int[Tensor, "*n"], classes: int) -> Tensor:
    """Pixels by true class (rows) and found class (columns); true numbers ≥ classes are ignored."""
    known = truth < classes
    pairs = classes * truth[known] + found[known]
    return torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def mean_overlap(counts: Tensor) -> float:
    """Mean intersection over union of the classes that occur, from their confusion."""
    both, union = counts.diagonal(), counts.sum(0) + counts.sum(1) - counts.diagonal()
    return float((both / union)[union > 0].mean())


def accuracy(counts: Tensor) -> float:
    """Part of the pixels that have their class, from the confusion of classes."""
    return float(counts.diagonal().sum() / counts.sum())

"""Which entries of a picture impulse noise replaced, where their values alone do not tell."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from undegrade.core.image import Image

_ENOUGH = 0.8  # of the stated fraction: where fewer have two values, others do
_SOME = 0.5  # of it: as many of these stick out at least,
_DENSE = 0.3  # unless so many are lost that medians are no longer the picture's
_MORE, _STRAY = 1.5, 0.02  # times the fraction, and beside it: what a picture itself may have
_SPIKE = 5.0  # times the count of values nearby: no picture has such values by chance
_FREQUENT = 1e-3  # of all entries: at most a thousand values are so frequent
_AROUND = 8  # values to each side that a spike is compared with
_MOST = 0.8  # of the suspects that stick out: then all are taken
_CLEAR = 0.1  # of the range by which an entry sticks out of its surroundings
_BUDGET = 1.5  # times the fraction: compression spreads an impulse to its neighbors
_SMALLEST = 0.02  # of the range: scale of differences below which nothing is an impulse
_APART = 2.0  # times the range of its neighbors: no entry of a picture is as far from them
_MIDDLE = 1024  # pixels a side that are looked at
_UNBALANCED = 0.15  # by which the share of black may differ from a half
_TOGETHER = 0.15  # by which two chances may differ that are one, for a picture has white too
_NOISY = 0.15  # mean difference of neighbors that no picture has
_CLIPPED = 0.15  # by which what is beside white may be lighter than what is beside black
_FEW, _MANY = 0.05, 0.95  # fractions that are told
_WIDE = 7  # pixels a side of the surroundings whose differences give the scale


def impulses(y: Image, fraction: Tensor) -> tuple[Tensor, Tensor]:
    """The entries that are lost, and per sample whether they were told by their values.

    Those that are exactly 0 or 1, or of two other values that stand out of all, where about the
    stated fraction has these values; of more, those that differ from their surroundings; else the
    entries that differ most from the median of their neighbors.

    Arguments:
        y: a picture with impulse noise.
        fraction: of the entries that are lost, one number, or one per sample.
    """
    found = [_of_one(*pair) for pair in zip(y, fraction.expand(len(y)), strict=True)]
    lost, told = zip(*found, strict=True)
    return torch.stack(lost), torch.tensor(told, device=y.device)


def _of_one(y: Tensor, fraction: Tensor) -> tuple[Tensor, bool]:
    part, exact, spikes = float(fraction), (y == 0) | (y == 1), _spikes(y)
    suspects = spikes if _share(spikes) > _share(exact) else exact
    share = _share(suspects)
    difference = (y - _median(y)).abs()
    span = (y.max() - y.min()).clamp(min=torch.finfo(y.dtype).tiny)
    clear = suspects & (difference > _CLEAR * span)
    few = share < _ENOUGH * part or (part < _DENSE and _share(clear) < _SOME * part)
    if part == 0 or not few:
        some = share > _MORE * part + _STRAY and _share(clear) < _MOST * share
        return (clear if some and part > 0 else suspects), True
    score = _score(difference, span).flatten()
    count = min(score.numel(), round(_BUDGET * part * score.numel()) + 1)
    least = score.topk(count).values[-1].clamp(min=1)
    return (score > least).unflatten(0, y.shape), False


def at_random(y: Image) -> Tensor:
    """The share of entries that are black or white with no regard to their neighbors; (b,).

    In a picture these stand together: beside a black or white entry there is another far more often
    than beside one in between. Of salt and pepper both chances are the fraction that is lost, half
    of it is black, what is beside black is as light as what is beside white, and the others are a
    picture's: neighbors are alike. Where noise was clipped they are not, or what is beside black is
    dark. 0 where this does not hold, or hardly an entry is black or white.
    """
    black, white = y == 0, y == 1
    beside = [_beside(y, black, white, dim) for dim in (-2, -1)]
    of_extreme, of_other, apart, lighter = torch.stack(beside).mean(0)
    told = (_share_of(black, black | white) - 0.5).abs() < _UNBALANCED
    told = told & ((of_extreme - of_other).abs() < _TOGETHER) & (lighter < _CLIPPED)
    told = told & (apart < _NOISY) & (of_other > _FEW) & (of_other < _MANY)
    return torch.where(told, of_other, 0.0)


def _beside(y: Image, black: Tensor, white: Tensor, dim: int) -> Tensor:
    """Of pairs of neighbors, (4 b).

    How often the second is extreme where the first is, and where it is not; how far apart two are
    in the mean that are not; by how much lighter the second of these is beside white than black.
    """
    n = y.shape[dim] - 1
    extreme = black | white
    a, b = (extreme.narrow(dim, start, n) for start in (0, 1))
    second = y.narrow(dim, 1, n)

    def beside(color: Tensor) -> Tensor:
        return _share_of(second, color.narrow(dim, 0, n) & ~b)

    return torch.stack(
        (
            _share_of(b, a),
            _share_of(b, ~a),
            _share_of(y.diff(dim=dim).abs(), ~a & ~b),
            beside(white) - beside(black),
        )
    )


def _share_of(values: Tensor, of: Tensor) -> Tensor:
    """Mean of values where `of` is, per sample."""
    return (values * of).flatten(1).sum(1) / of.flatten(1).sum(1).clamp(min=1)


def stray(y: Image) -> float:
    """The part of all entries that no picture has: far off all their neighbors, which agree.

    Of a large picture the middle tells.
    """
    shares, (h, w) = list[float](), y.shape[2:]
    top, left = max(0, h - _MIDDLE) // 2, max(0, w - _MIDDLE) // 2
    for sample in y[:, :, top : top + _MIDDLE, left : left + _MIDDLE]:
        span = sample.max() - sample.min()
        shares.append(sum(_alone(channel, span) for channel in sample) / len(sample))
    return max(shares, default=0.0)


def _alone(channel: Tensor, span: Tensor) -> float:
    nine = _nine(channel[None, None]).sort(0).values
    above = (nine[8] - nine[7] > _APART * (nine[7] - nine[0]) + _CLEAR * span) & (
        channel == nine[8]
    )
    below = (nine[1] - nine[0] > _APART * (nine[8] - nine[1]) + _CLEAR * span) & (
        channel == nine[0]
    )
    return _share(above | below)


def _score(difference: Tensor, span: Tensor) -> Tensor:
    """Differences from the median in units of the usual ones around."""
    return difference / (_mean(difference.clamp(max=_CLEAR * span)) + _SMALLEST * span)


def _share(entries: Tensor) -> float:
    return entries.float().mean().item()


def _spikes(y: Tensor) -> Tensor:
    """The entries of the two values that are most frequent beside their neighboring values."""
    values, counts = y.unique(return_counts=True)
    lost = torch.zeros_like(y, dtype=torch.bool)
    rise = dict[int, float]()
    for index in (counts >= _FREQUENT * y.numel()).nonzero().flatten().tolist():
        around = counts[max(0, index - _AROUND) : index + _AROUND + 1].float()
        rise[index] = float(counts[index] / around.median())
    for index in sorted(rise, key=lambda index: rise[index])[-2:]:
        if rise[index] > _SPIKE:
            lost |= y == values[index]
    return lost


def _median(y: Tensor) -> Tensor:
    """Of 3×3 entries around each, channel by channel: nine pictures at a time are enough."""
    return torch.stack([_nine(channel[None, None]).median(0).values for channel in y])


def _nine(channel: Tensor) -> Tensor:
    wide = pad(channel, (1, 1, 1, 1), mode="replicate")[0, 0]
    h, w = channel.shape[2:]
    return torch.stack([wide[i : i + h, j : j + w] for i in range(3) for j in range(3)])


def _mean(difference: Tensor) -> Tensor:
    wide = pad(difference[None], (_WIDE // 2,) * 4, mode="replicate")
    return torch.nn.functional.avg_pool2d(wide, _WIDE, 1)[0]

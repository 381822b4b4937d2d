"""How noisy a picture is, from the picture alone."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, pad

from undegrade.core.image import Image, PerSample
from undegrade.core.measurement import check_picture

_NORMAL_QUARTILE = 0.6744897501960817  # median of |n| for standard normal n
_PATCH = 16  # pixels per side, a power of two
_FLATTEST = 0.1  # fraction of the patches that is trusted
_FEWEST = 100  # patches below which all are trusted, and blocks below which none is
_ROUNDING = 1e-6  # of the picture's range: differences below it are those of equal numbers
_ENOUGH = 4_000_000  # pixels: the level is no surer for more
_BAND = 256  # rows: of 16 rows of patches one crosses into the next band, and does not count
_TELLING = 0.1  # a picture that is constant but for less than this has no noise
_WHITE = -0.5  # correlation of neighboring differences: −⅔ for white noise, at most −0.45 for other
_LEAST = 0.02  # fraction of the patches that are taken for flat at half size,
_LEAST_OF_WHITE = 0.65  # where their differences measure this much of white noise's level
_STATIONARY = 1.5  # texture differs more between a tenth and a fiftieth of the patches, noise less


def estimate_noise_std(y: Image, observed: Tensor | None = None) -> PerSample:
    """Standard deviation of Gaussian noise, in units of the image.

    Median of |d|/0.6745 over the flattest tenth of all 16×16 patches, with d the second difference
    along both axes, normalized. Flatness is judged in wavelet bands that are (nearly) orthogonal to
    d, so that the choice does not favor patches whose noise happens to be small, and away from
    the darkest and the brightest value, where clipping hides the noise. Squares of a patch's
    size that are constant (a caption, a mount, bars) do not count.

    Where neighboring d show that the noise is not white (a JPEG, a demosaicked or scaled picture)
    they hold little of it, and the picture of half the size is asked: what its flattest fiftieth
    varies by, unless patches differ too much among each other for that to be noise.

    On CBSD68 at σ = 5, 10, 25, 50 (/255) the mean error is 5, 2, 1, 1 %, with 8 bits 6, 3, 2, 3 %
    (`python -m benchmarks.noise_level`); a picture full of texture at a low noise level is
    overrated by up to a half. Pictures of more than 4 megapixels are looked at in bands.

    References:
        Donoho and Johnstone, Ideal spatial adaptation by wavelet shrinkage (1994), for the median.

    Arguments:
        y: a noisy, possibly blurred image (b c h w). Entries that are not finite are lost.
        observed: 0 at lost entries, spreads to the shape of y. Patches with lost entries do not
            count; where too few others remain, plain Haar differences of fully seen 2×2 blocks are
            used.

    Raises:
        ValueError: y is no batch of pictures; fewer than 100 fully seen patches and blocks in an
            image with lost entries.
    """
    check_picture(y)
    seen = y.isfinite()
    if observed is not None:
        seen = seen & (observed.to(y.device) > 0)
    known = torch.where(seen, y, 0.0)
    pairs = (_in_bands(*pair) for pair in zip(known, seen.expand_as(y), strict=True))
    return torch.stack([_of_one(*pair) for pair in pairs])


class _Patches(NamedTuple):
    """Differences (n side side), energy of structure coarser than these see, mean: both (n)."""

    differences: Tensor
    structure: Tensor
    brightness: Tensor


def _in_bands(y: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Evenly spaced bands of rows of a large picture, parted by rows that were not seen."""
    rows, columns = y.shape[-2:]
    count = max(1, _ENOUGH // (_BAND * columns))
    if rows * columns <= _ENOUGH or rows <= count * _BAND:
        return y, seen
    starts = [k * (rows - _BAND) // max(1, count - 1) for k in range(count)]
    bands = [y[:, start : start + _BAND] for start in starts]
    parted = [seen[:, start : start + _BAND].clone() for start in starts]
    for band in parted[1:]:
        band[:, 0] = False
    return torch.cat(bands, 1), torch.cat(parted, 1)


def _of_one(y: Tensor, seen: Tensor) -> Tensor:
    patches = _cut(y, seen, _PATCH)
    if len(patches.differences) < _FEWEST:
        return _of_few(y, seen)
    telling = seen & ~_constant(y)
    others = _cut(y, telling, _PATCH)
    if len(others.differences) >= _TELLING * len(patches.differences):
        seen, patches = telling, others
    flattest = _flattest(patches, y[seen])
    level = _robust_std(flattest)
    if _correlation(flattest) < _WHITE:
        return level
    return torch.maximum(level, _level_at_half_size(y, seen))


def _of_few(y: Tensor, seen: Tensor) -> Tensor:
    """From all differences, or all blocks that were seen."""
    if bool(seen.all()):
        return _robust_std(_second_differences(y))
    whole = _haar(seen.to(y))[0] > 1.5  # 2 where all four were seen, at most 1.5 elsewhere
    if int(whole.sum()) < _FEWEST:
        raise ValueError(
            f"too few pixels were seen to estimate the noise from them "
            f"({int(whole.sum())} whole 2×2 blocks, {_FEWEST} are needed): give the noise level"
        )
    return _robust_std(_haar(y)[3][whole])


def _robust_std(d: Tensor) -> Tensor:
    return d.abs().flatten().median() / _NORMAL_QUARTILE


def _second_differences(y: Tensor) -> Tensor:
    """Along each axis that is long enough, of unit gain for white noise; (c h−2 w−2)."""
    for dim in (-2, -1):
        n = y.shape[dim] - 2
        if n >= 1:
            before, here, after = (y.narrow(dim, k, n) for k in range(3))
            y = (before - 2 * here + after) / 6**0.5  # √(1 + 4 + 1)
    return y


def _cut(y: Tensor, seen: Tensor, side: int) -> _Patches:
    """The fully seen patches of all channels, without the outermost rows and columns."""
    if min(y.shape[-2:]) < side + 2:
        nothing = y.new_empty(0)
        return _Patches(y.new_empty(0, side, side), nothing, nothing)
    lost = max_pool2d((~seen).to(y), 3, 1)
    whole = _tiles(lost, side).flatten(1).amax(1) == 0
    inner = _tiles(y[..., 1:-1, 1:-1], side)[whole]
    low, level, upright, _ = _haar(inner)
    energy = (level.square() + upright.square()).mean((1, 2))
    for band in _haar(low)[1:]:
        energy = energy + band.square().mean((1, 2))
    return _Patches(_tiles(_second_differences(y), side)[whole], energy, inner.mean((1, 2)))


def _tiles(y: Tensor, side: int) -> Tensor:
    """(n side side), of all channels."""
    rows, columns = (n // side for n in y.shape[-2:])
    whole = y[..., : rows * side, : columns * side]
    split = whole.unflatten(-2, (rows, side)).unflatten(-1, (columns, side))
    return split.transpose(-2, -3).flatten(0, 2)


def _constant(y: Tensor) -> Tensor:
    """Which entries lie in a square of `_PATCH` equal values a side."""
    spread = _over_windows(y) + _over_windows(-y)
    flat = (spread <= _ROUNDING * (y.max() - y.min())).to(y)
    return _over_windows(pad(flat, (_PATCH - 1,) * 4)) > 0


def _over_windows(y: Tensor) -> Tensor:
    """The largest value in every square of `_PATCH` a side: of two, of four, …, of all in a row."""
    for dim in (-2, -1):
        for step in (1 << k for k in range(_PATCH.bit_length() - 1)):
            n = y.shape[dim] - step
            y = torch.maximum(y.narrow(dim, 0, n), y.narrow(dim, step, n))
    return y


def _flattest(patches: _Patches, values: Tensor) -> Tensor:
    """Differences of the patches with the least structure that clipping did not reach."""
    d, structure, brightness = patches
    std = _robust_std(d).clamp(min=torch.finfo(d.dtype).tiny ** 0.5)
    room = torch.minimum(brightness - values.min(), values.max() - brightness) / std
    # nearer than 2σ to black or white, clipping counts: at 1σ as much as structure of 20σ²
    score = structure / std.square() + 20 * (2 - room).clamp(min=0).square()
    return d[score <= score.quantile(_FLATTEST)]


def _correlation(d: Tensor) -> Tensor:
    """Of neighbors in a row and in a column."""
    products = (d[:, 1:] * d[:, :-1]).mean() + (d[..., 1:] * d[..., :-1]).mean()
    return products / (2 * d.square().mean()).clamp(min=torch.finfo(d.dtype).tiny)


def _level_at_half_size(y: Tensor, seen: Tensor) -> Tensor:
    """Of noise that is coarser than a pixel, as the white noise that is as strong there; or 0."""
    half, whole = avg_pool2d(y, 2), avg_pool2d(seen.to(y), 2) == 1
    patches = _cut(half, whole, _PATCH // 2)
    levels = patches.differences.square().mean((1, 2)).sqrt()
    dark, bright = half[whole].aminmax()
    room = torch.minimum(patches.brightness - dark, bright - patches.brightness)
    levels = levels[room > 2 * levels]
    if len(levels) < _FEWEST:
        return y.new_zeros(())
    least, more = levels.quantile(levels.new_tensor([_LEAST, _FLATTEST]))
    # white noise of level σ has σ/2 at half the size
    return torch.where(more < _STATIONARY * least, 2 * least / _LEAST_OF_WHITE, 0.0)


def _haar(y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and horizontal, vertical, diagonal difference of 2×2 blocks, orthonormal."""
    h, w = (n // 2 * 2 for n in y.shape[-2:])
    top, bottom = y[..., 0:h:2, :w], y[..., 1:h:2, :w]
    sums, differences = (top + bottom) / 2, (top - bottom) / 2
    return (
        sums[..., 0::2] + sums[..., 1::2],
        sums[..., 0::2] - sums[..., 1::2],
        differences[..., 0::2] + differences[..., 1::2],
        differences[..., 0::2] - differences[..., 1::2],
    )

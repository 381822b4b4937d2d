"""Random kernels of hand-held exposures."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_EXPOSURES = (1 / 16, 1 / 4, 1 / 2, 1.0)  # fractions of the trajectory that the shutter sees


def camera_shake_psf(
    size: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> Tensor:
    """One random camera-shake kernel, shape (size size), on the generator's device.

    See `camera_shake_psfs`.
    """
    return camera_shake_psfs(1, size, generator, dtype=dtype)[0, 0]


def camera_shake_psfs(
    count: int,
    size: int,
    generator: torch.Generator,
    *,
    samples: int = 2000,
    length: float = 60.0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Random walks of a shaking hand, drawn by bilinear weights, shape (count 1 size size).

    The velocity keeps its modulus; its direction is pushed by Gaussian jerks, pulled back to the
    start and now and then thrown about, all in proportion to an anxiety drawn per kernel. The
    shutter sees 1/16, 1/4, 1/2 or all of the path. A path too wide for the kernel is scaled down
    instead of cut, and its bounding box is put in the middle.

    The walk is sequential: one call for many kernels costs little more than for one (about 20 ms).

    References:
        Boracchi and Foi, Modeling the performance of image restoration from motion blur (2012).

    Good values: size 21 to 31, the other numbers as in the paper.

    Arguments:
        count: number of kernels.
        size: odd number of rows and columns.
        generator: on any device; it decides where the kernels lie.
        samples: points of a path.
        length: of a whole path in pixels.
        dtype: of the result.

    Raises:
        ValueError: an even size or one below 3.
    """
    if size < 3 or size % 2 == 0:
        raise ValueError(f"the size of a camera-shake kernel is odd and 3 or more, got {size}")
    paths = _trajectories(count, samples, length / (samples - 1), generator)
    chosen = torch.randint(len(_EXPOSURES), (count,), generator=generator, device=generator.device)
    last = np.ceil(np.asarray(_EXPOSURES)[chosen.cpu().numpy()] * samples)
    seen = np.arange(samples) < last[:, None]
    psfs = _drawn(_centered(paths, seen, (size - 1) / 2), seen, size)
    return torch.from_numpy(psfs).to(generator.device, dtype)


def _trajectories(
    count: int, samples: int, stride: float, generator: torch.Generator
) -> NDArray[np.complex128]:
    """Positions in the complex plane, (count samples)."""

    def drawn(kind: Callable[..., Tensor], *shape: int) -> NDArray[np.float32]:
        return kind(shape, generator=generator, device=generator.device).cpu().numpy()

    anxiety, pull, shakiness, abrupt, angle = drawn(torch.rand, 5, count).astype(np.float64)
    # 0.1, 0.07, 10, 0.2 and the turn by about half a circle are the paper's
    anxiety, pull = 0.1 * anxiety, 0.07 * anxiety * pull
    noise = drawn(torch.randn, samples, count, 2).astype(np.float64).view(np.complex128)[..., 0]
    jerk = noise * (10 * anxiety * shakiness)
    turn = np.ones((samples, count), np.complex128)
    thrown = drawn(torch.rand, samples, count) < 0.2 * anxiety * abrupt
    turn[thrown] -= 2 * np.exp(1j * (drawn(torch.rand, int(thrown.sum())) - 0.5))
    direction, place = np.exp(2j * math.pi * angle), np.zeros(count, np.complex128)
    path = np.empty((samples, count), np.complex128)
    for t in range(samples):
        path[t] = place
        direction *= turn[t]
        direction += jerk[t] - pull * place
        direction /= np.abs(direction)
        place += stride * direction
    return np.ascontiguousarray(path.T)


def _centered(
    paths: NDArray[np.complex128], seen: NDArray[np.bool_], reach: float
) -> NDArray[np.complex128]:
    """Paths moved, and where needed shrunk, so that what is seen of them fits ±reach."""

    def box(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low = np.where(seen, values, np.inf).min(1, keepdims=True)
        high = np.where(seen, values, -np.inf).max(1, keepdims=True)
        return (low + high) / 2, (high - low) / 2

    (x, half_width), (y, half_height) = box(paths.real), box(paths.imag)
    largest = np.maximum(np.maximum(half_width, half_height), 1e-9)  # a path that stands still
    scale = np.minimum(1, reach / largest)
    return (paths - (x + 1j * y)) * scale


def _drawn(
    paths: NDArray[np.complex128], seen: NDArray[np.bool_], size: int
) -> NDArray[np.float64]:
    """Each seen point shared among its four pixels; every kernel sums to 1."""
    count = len(paths)
    x, y = (part + (size - 1) / 2 for part in (paths.real, paths.imag))
    column = np.clip(np.floor(x).astype(np.int64), 0, size - 2)
    row = np.clip(np.floor(y).astype(np.int64), 0, size - 2)
    fx, fy = x - column, y - row
    first = (np.arange(count)[:, None] * size + row) * size + column
    weight = seen / seen.sum(1, keepdims=True)
    psfs = np.zeros(count * size * size)
    for step, share in (
        (0, (1 - fx) * (1 - fy)),
        (1, fx * (1 - fy)),
        (size, (1 - fx) * fy),
        (size + 1, fx * fy),
    ):
        psfs += np.bincount((first + step).ravel(), (weight * share).ravel(), len(psfs))
    return psfs.reshape(count, 1, size, size)

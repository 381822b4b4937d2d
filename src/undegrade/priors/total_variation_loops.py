"""Loops over pixels for numba. Imported only by `priors.compiled`, because numba loads slowly.

Every loop runs its rows in parallel. Differences stop at the last row and column (Neumann). The
column index only ever grows from 0, in the form j and j + 1: a possibly negative index would cost
the vector instructions. Constants are taken from the arrays, so that float32 stays float32.
"""

# numba is not typed, and compiles the functions below rather than calling them.
# pyright: basic

import inspect
import math

import numba
import numpy as np


def _compiled(loop):  # noqa: ANN001, ANN202
    """The compiled loop. A run-time type checker may have wrapped it, and numba wants it bare."""
    bare = inspect.unwrap(loop)
    return numba.njit(parallel=True, fastmath={"contract", "reassoc", "nsz"}, cache=True)(bare)


@_compiled
def ascend_anisotropic(p, x, step, weight, shrink):  # noqa: ANN001, ANN201
    """Every entry for itself."""
    b, c, _, h, w = p.shape
    for k in numba.prange(b * c * h):
        n, ch, i = k // (c * h), k // h % c, k % h
        s, r, z = step[n], weight[n], shrink[n]
        below = min(i + 1, h - 1)
        for j in range(w):
            v = z * (p[n, ch, 0, i, j] + s * (x[n, ch, below, j] - x[n, ch, i, j]))
            p[n, ch, 0, i, j] = min(max(v, -r), r)
        for j in range(w - 1):
            v = z * (p[n, ch, 1, i, j] + s * (x[n, ch, i, j + 1] - x[n, ch, i, j]))
            p[n, ch, 1, i, j] = min(max(v, -r), r)
        p[n, ch, 1, i, w - 1] = min(max(z * p[n, ch, 1, i, w - 1], -r), r)


@_compiled
def ascend_isotropic(p, x, step, weight, shrink):  # noqa: ANN001, ANN201
    """The two directions of a channel together."""
    b, c, _, h, w = p.shape
    for k in numba.prange(b * c * h):
        n, ch, i = k // (c * h), k // h % c, k % h
        s, r, z = step[n], weight[n], shrink[n]
        below = min(i + 1, h - 1)
        for j in range(w - 1):
            u = z * (p[n, ch, 0, i, j] + s * (x[n, ch, below, j] - x[n, ch, i, j]))
            v = z * (p[n, ch, 1, i, j] + s * (x[n, ch, i, j + 1] - x[n, ch, i, j]))
            m = r / max(r, math.sqrt(u * u + v * v)) if r > 0 else r
            p[n, ch, 0, i, j] = m * u
            p[n, ch, 1, i, j] = m * v
        j = w - 1
        u = z * (p[n, ch, 0, i, j] + s * (x[n, ch, below, j] - x[n, ch, i, j]))
        v = z * p[n, ch, 1, i, j]
        m = r / max(r, math.sqrt(u * u + v * v)) if r > 0 else r
        p[n, ch, 0, i, j] = m * u
        p[n, ch, 1, i, j] = m * v


@_compiled
def ascend_vectorial(p, x, step, weight, shrink):  # noqa: ANN001, ANN201
    """The two directions of all channels together."""
    b, c, _, h, w = p.shape
    for k in numba.prange(b * h):
        n, i = k // h, k % h
        s, r, z = step[n], weight[n], shrink[n]
        below = min(i + 1, h - 1)
        square = np.zeros(w, p.dtype)
        for ch in range(c):
            for j in range(w - 1):
                u = z * (p[n, ch, 0, i, j] + s * (x[n, ch, below, j] - x[n, ch, i, j]))
                v = z * (p[n, ch, 1, i, j] + s * (x[n, ch, i, j + 1] - x[n, ch, i, j]))
                square[j] += u * u + v * v
                p[n, ch, 0, i, j] = u
                p[n, ch, 1, i, j] = v
            j = w - 1
            u = z * (p[n, ch, 0, i, j] + s * (x[n, ch, below, j] - x[n, ch, i, j]))
            v = z * p[n, ch, 1, i, j]
            square[j] += u * u + v * v
            p[n, ch, 0, i, j] = u
            p[n, ch, 1, i, j] = v
        for j in range(w):
            square[j] = r / max(r, math.sqrt(square[j])) if r > 0 else r
        for ch in range(c):
            for j in range(w):
                p[n, ch, 0, i, j] *= square[j]
                p[n, ch, 1, i, j] *= square[j]


@_compiled
def descend(x, p, step, out):  # noqa: ANN001, ANN201
    """The image x − step·∇ᵀp, into `out`."""
    b, c, h, w = x.shape
    for k in numba.prange(b * c * h):
        n, ch, i = k // (c * h), k // h % c, k % h
        s = step[n]
        above, up, low = max(i - 1, 0), step[n] * 0, step[n] * 0
        if i > 0:
            up = s
        if i + 1 < h:
            low = s
        right = s if w > 1 else low * 0
        out[n, ch, i, 0] = (
            x[n, ch, i, 0] - up * p[n, ch, 0, above, 0] + low * p[n, ch, 0, i, 0]
        ) + right * p[n, ch, 1, i, 0]
        for j in range(w - 2):
            out[n, ch, i, j + 1] = (
                x[n, ch, i, j + 1] - up * p[n, ch, 0, above, j + 1] + low * p[n, ch, 0, i, j + 1]
            ) + s * (p[n, ch, 1, i, j + 1] - p[n, ch, 1, i, j])
        if w > 1:
            out[n, ch, i, w - 1] = (
                x[n, ch, i, w - 1] - up * p[n, ch, 0, above, w - 1] + low * p[n, ch, 0, i, w - 1]
            ) - s * p[n, ch, 1, i, w - 2]


@_compiled
def slopes(x, out):  # noqa: ANN001, ANN201
    """|∇x| over the two directions and the colors of x, into `out`."""
    b, c, h, w = x.shape
    for k in numba.prange(b * h):
        n, i = k // h, k % h
        below = min(i + 1, h - 1)
        for j in range(w):
            out[n, i, j] = 0
        for ch in range(c):
            for j in range(w - 1):
                u = x[n, ch, below, j] - x[n, ch, i, j]
                v = x[n, ch, i, j + 1] - x[n, ch, i, j]
                out[n, i, j] += u * u + v * v
            u = x[n, ch, below, w - 1] - x[n, ch, i, w - 1]
            out[n, i, w - 1] += u * u
        for j in range(w):
            out[n, i, j] = math.sqrt(out[n, i, j])


@_compiled
def diffuse(x, scale, out):  # noqa: ANN001, ANN201
    """The image ∇ᵀ(scale·∇x), into `out`; the colors share the scale."""
    b, c, h, w = x.shape
    for k in numba.prange(b * h):
        n, i = k // h, k % h
        above, below = max(i - 1, 0), min(i + 1, h - 1)
        for ch in range(c):
            for j in range(w):
                out[n, ch, i, j] = scale[n, above, j] * (
                    x[n, ch, i, j] - x[n, ch, above, j]
                ) - scale[n, i, j] * (x[n, ch, below, j] - x[n, ch, i, j])
            if w > 1:
                out[n, ch, i, 0] -= scale[n, i, 0] * (x[n, ch, i, 1] - x[n, ch, i, 0])
                for j in range(w - 2):
                    out[n, ch, i, j + 1] += scale[n, i, j] * (
                        x[n, ch, i, j + 1] - x[n, ch, i, j]
                    ) - scale[n, i, j + 1] * (x[n, ch, i, j + 2] - x[n, ch, i, j + 1])
                out[n, ch, i, w - 1] += scale[n, i, w - 2] * (
                    x[n, ch, i, w - 1] - x[n, ch, i, w - 2]
                )

"""Directions of second order in a box: two metrics, one for the pixels that its walls hold."""

from collections.abc import Callable

from undegrade.core.image import PerSample, Vector, per_sample


def two_metric(
    project: Callable[[Vector], Vector],
    x: Vector,
    gradient: Vector,
    scale: PerSample,
    solve: Callable[[Vector, Vector], Vector],
) -> tuple[Vector, Vector]:
    """A direction d for steps P(x + αd) that descends, and P(x + d).

    Pixels that −scale·∇ would push out of the box take that step; the others are free and take
    −H∇, with H from the free pixels' curvature alone. Entries of d that the box would stop at
    once are 0. The set must act on every pixel by itself, as `Box` does.

    References:
        Bertsekas, Projected Newton methods for optimization problems with simple constraints
        (1982), eqs. (32)–(36).

    Arguments:
        project: P.
        x: a point of the box.
        gradient: ∇ at x.
        scale: step along −∇, > 0, about 1/curvature.
        solve: (q, free) ↦ H q, q and the result 0 where free is 0. It may overwrite q.
    """
    steepest = per_sample(scale, gradient) * gradient
    ahead = x - steepest
    free = (project(ahead) == ahead).to(x.dtype)
    newton = solve(gradient * free, free)
    direction = (free - 1) * steepest - newton
    landed = project(x + direction)
    return direction * (landed != x), landed  # what the box stops at once is no part of the path

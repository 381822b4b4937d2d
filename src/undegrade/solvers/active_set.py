"""Newton's method for sparse problems that are small enough for a matrix."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from undegrade.core.functional import Functional, Proximable
from undegrade.core.image import PerSample, Vector, norm, per_sample, select
from undegrade.core.objective import Objective
from undegrade.core.stopping import State
from undegrade.solvers.refusal import refuse_constraint, require_objective

Problem = Objective[Functional, Proximable]


class ActiveSetState(NamedTuple):
    """Iterate x; the proximal step from it; ∇²f, and its factor on the last support."""

    x: Vector
    residual: PerSample
    near: Vector  # prox(x − t∇f(x))
    steepness: Tensor  # derivative of the prox there, (b n)
    slope: Tensor  # of f + λg at `near`, on its support, (b n)
    hessian: Tensor  # (b n n)
    step: PerSample  # t
    scale: PerSample  # ‖∇f(0)‖
    moves: Tensor  # (b n), 1 on the support that was factored and 0 elsewhere
    factor: Tensor  # (b n n), Cholesky factor of the Hessian of f + λg there


@final
@dataclass(frozen=True, kw_only=True)
class ActiveSet:
    """Minimizes f(x) + λg(x), f quadratic and g sparse (`ElasticNet`, `LpNorm(1)`): exactly.

    A proximal gradient step tells which entries are 0 and the signs of the others; on those
    Newton's step is exact. Entries that it carries past 0 stay at 0, or the step ends where the
    first one gets there, whichever is better; so the value never rises. A handful of iterations
    from zero, one or two from near the minimum. Forms ∇²f: memory n² and time n³ for n unknowns,
    so for signals and not for pictures. On an f that is not quadratic it is wrong.

    The residual is ‖x − prox(x − t∇f(x))‖/t, relative to ‖∇f(0)‖, with 1/t a bound on ‖∇²f‖.

    References:
        Hintermüller, Ito and Kunisch, The primal-dual active set strategy as a semismooth Newton
        method (2002). Lee, Battle, Raina and Ng, Efficient sparse coding algorithms (2006).

    Good values: stop at a residual of 1e-10 in double precision; up to about 2000 unknowns.

    Raises:
        ValueError: an objective with a constraint; one that is not strongly convex on the support.
    """

    def init(self, problem: Problem, x0: Vector, near: State | None = None) -> ActiveSetState:
        del near  # its Hessian is another problem's
        prior = Proximable, "LpNorm and ElasticNet are; use LBFGS for total variation"
        require_objective("ActiveSet", problem, prior=prior)
        refuse_constraint("ActiveSet", problem, "use ProximalGradient")
        hessian = _hessian(problem.fidelity, x0)
        largest = hessian.abs().sum(2).amax(1).clamp(min=torch.finfo(x0.dtype).tiny)
        scale = norm(problem.fidelity.grad(torch.zeros_like(x0)))
        flat, unknown = x0.flatten(1), scale * 0 + math.inf
        state = ActiveSetState(
            x0,
            unknown,
            x0,
            flat,
            flat,
            hessian,
            1 / largest,
            scale,
            flat,
            torch.zeros_like(hessian),
        )
        return self._looked(problem, state, x0)._replace(residual=unknown)

    def step(self, problem: Problem, state: ActiveSetState) -> ActiveSetState:
        moves = (state.steepness > 0).to(state.x.dtype)
        factor = _factor(state.hessian, state.steepness, state.step)
        near = state.near.flatten(1)
        newton = near - solve_factored(factor, moves, state.slope)
        x = _ahead(problem, near, newton, state.x.shape)
        return self._looked(problem, state._replace(moves=moves, factor=factor), x)

    def _looked(self, problem: Problem, state: ActiveSetState, x: Vector) -> ActiveSetState:
        """The state at x, with the proximal step that tells where to go next."""
        gradient, step = problem.fidelity.grad(x), per_sample(state.step, x)
        threshold = state.step * problem.weights(x)

        def prox(v: Tensor) -> Tensor:
            return problem.prior.prox(v, threshold)

        recorded = torch.func.vjp(prox, x - step * gradient)
        near: Tensor = recorded[0]
        # ∇f(near) + (x − near)/t − ∇f(x), by the Hessian
        change = (x - near).flatten(1)
        slope = change / state.step[:, None] - (state.hessian @ change[..., None])[..., 0]
        tiny = torch.finfo(x.dtype).tiny
        return state._replace(
            x=x,
            residual=norm(change) / (state.step * state.scale.clamp(min=tiny)),
            near=near,
            steepness=recorded[1](torch.ones_like(x))[0].flatten(1),
            slope=slope,
        )


def inverse_hessian(state: ActiveSetState) -> Callable[[Vector], Vector]:
    """v ↦ (∇²(f + λg) on the support)⁻¹ v, tv elsewhere: solves the adjoint system of bilevel.

    Positive definite, as conjugate gradients need it: an entry on the edge of the support may count
    to it for the adjoint system and not here.
    """

    def solved(v: Vector) -> Vector:
        flat = v.flatten(1)
        elsewhere = (1 - state.moves) * state.step[:, None] * flat
        return (solve_factored(state.factor, state.moves, flat) + elsewhere).reshape(v.shape)

    return solved


def solve_factored(factor: Tensor, moves: Tensor, right: Tensor) -> Tensor:
    """The solution on the support, 0 elsewhere; (b n)."""
    return moves * torch.cholesky_solve((moves * right)[..., None], factor)[..., 0]


def _ahead(problem: Problem, near: Tensor, newton: Tensor, shape: torch.Size) -> Vector:
    """The better of `newton`, entries that pass 0 left there, and where the first of them gets.

    On the way there f + λg is the quadratic whose minimum `newton` is, and falls.
    """
    passes = near * newton < 0
    if not bool(passes.any()):
        return newton.reshape(shape)
    reached = torch.where(passes, near / torch.where(passes, near - newton, 1.0), 1.0)
    share = reached.amin(1, keepdim=True)
    short = torch.where(passes & (reached == share), 0.0, near + share * (newton - near))
    clipped, short = torch.where(passes, 0.0, newton).reshape(shape), short.reshape(shape)
    return select(problem(clipped) <= problem(short), clipped, short)


def _factor(hessian: Tensor, steepness: Tensor, step: PerSample) -> Tensor:
    """Cholesky factor of ∇²f + (1 − d)/(td) on the support, of 1 elsewhere."""
    moves = (steepness > 0).to(hessian.dtype)
    # where nothing moves, `moves` is 0, and the quotient must only be finite
    curvature = (1 - steepness) / (step[:, None] * steepness.clamp(min=1e-30)) * moves
    reduced = moves[:, :, None] * hessian * moves[:, None, :]
    factor, failed = torch.linalg.cholesky_ex(reduced + torch.diag_embed(curvature + 1 - moves))
    if bool((failed.bool() & hessian.isfinite().flatten(1).all(1)).any()):
        raise ValueError("the objective is not strongly convex on the support; use an elastic net")
    return factor


def _hessian(f: Functional, x: Vector) -> Tensor:
    """∇²f of every sample, (b n n), by one recorded gradient and a batch of backward passes."""
    pull, n = torch.func.vjp(f.grad, x)[1], x[0].numel()
    basis = torch.eye(n, dtype=x.dtype, device=x.device).reshape(n, 1, *x.shape[1:])
    rows = torch.func.vmap(pull)(basis.expand(n, *x.shape))[0]
    return rows.flatten(2).transpose(0, 1)

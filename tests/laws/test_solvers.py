"""Laws of every solver. A new one is covered once it is in tests/cases.py."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from tests.cases import SMOOTH, SOLVERS, SolverCase, uniform
from undegrade.core.functional import Functional, Proximable
from undegrade.core.objective import Objective
from undegrade.core.solver import Solver, advance, solve
from undegrade.core.stopping import State, Status, Until, until
from undegrade.priors.box import Box
from undegrade.priors.finite_difference import FiniteDifference

BATCH = slice(None)


@pytest.fixture(params=SOLVERS.values(), ids=SOLVERS.keys())
def case(request: pytest.FixtureRequest) -> SolverCase:
    return request.param


def closed_form(case: SolverCase, y: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
    """(AᵀA/std² + λ∇ᵀ∇)⁻¹ Aᵀy/std², with matrices."""
    y, answers = case.measured(BATCH) if y is None else y, []
    basis = torch.eye(y[0].numel(), dtype=y.dtype).reshape(-1, *y.shape[1:])
    slope = FiniteDifference()(basis).flatten(1).T
    for i, weight in enumerate(case.weight(BATCH) if weights is None else weights):
        A = case.operator(slice(i, i + 1))(basis).flatten(1).T
        hessian = A.T @ A / case.std**2 + weight * slope.T @ slope
        answers.append(torch.linalg.solve(hessian, A.T @ y[i].flatten() / case.std**2))
    return torch.stack(answers).reshape(y.shape)


def to_the_end(case: SolverCase, tolerance: float | None = None) -> Until:
    return until(iterations=case.iterations, residual=tolerance or case.tolerance)


def same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num())


def test_it_is_a_solver_whose_settings_show(case):
    assert isinstance(case.solver, Solver)
    assert dataclasses.is_dataclass(case.solver)
    for field in dataclasses.fields(case.solver):
        assert f"{field.name}=" in repr(case.solver)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(case.solver, field.name, 1)


def test_it_finds_the_minimum_of_a_quadratic(case):
    result = solve(case.solver, case.quadratic(), case.start(), stop=to_the_end(case))
    assert result.status == (Status.CONVERGED,) * 2
    torch.testing.assert_close(result.x, closed_form(case), rtol=0, atol=2e-5)


def test_n_then_m_iterations_are_n_plus_m(case):
    problem, x0 = case.quadratic(), case.start()
    whole = solve(case.solver, problem, x0, stop=until(iterations=7))
    part = solve(case.solver, problem, x0, stop=until(iterations=4))
    rest = solve(case.solver, problem, start=part, stop=until(iterations=7))
    assert torch.equal(whole.x, rest.x)
    assert whole.iterations == rest.iterations
    assert [r.iteration for r in whole.trace] == [r.iteration for r in rest.trace]
    assert torch.equal(whole.state.residual, rest.state.residual)


def test_advancing_by_n_steps_is_solving_for_n_iterations(case):
    problem, x0 = case.quadratic(), case.start()
    solved = solve(case.solver, problem, x0, stop=until(iterations=5))
    advanced = advance(case.solver, problem, x0, 5)
    assert torch.equal(solved.x, advanced.x)
    assert torch.equal(solved.state.residual, advanced.residual)


def test_a_batch_gives_what_its_members_give_alone(case):
    stop = to_the_end(case, 10 * case.tolerance)
    together = solve(case.solver, case.quadratic(), case.start(), stop=stop)
    assert together.iterations[0] != together.iterations[1]  # or the law would be idle
    for i in range(2):
        rows = slice(i, i + 1)
        alone = solve(case.solver, case.quadratic(rows), case.start(rows), stop=stop)
        assert alone.status == together.status[rows]
        # sums of another order of the rows may cross the tolerance an iteration earlier or later
        assert abs(alone.iterations[0] - together.iterations[i]) <= 1
        torch.testing.assert_close(alone.x, together.x[rows], rtol=1e-7, atol=1e-7)


def test_the_same_call_gives_the_same_bits_and_draws_no_numbers(case):
    before = torch.get_rng_state()
    first, second = (
        solve(case.solver, case.quadratic(), case.start(), stop=until(iterations=9))
        for _ in range(2)
    )
    assert torch.equal(first.x, second.x)
    assert torch.equal(before, torch.get_rng_state())


def test_what_is_not_finite_diverges_and_leaves_its_neighbor_alone(case):
    y = case.measured(BATCH)
    broken = torch.stack((y[0], torch.full_like(y[1], math.nan)))
    stop = to_the_end(case)
    result = solve(case.solver, case.quadratic(y=broken), case.start(), stop=stop)
    assert result.status == (Status.CONVERGED, Status.DIVERGED)
    assert result.iterations[1] <= 1
    assert result.x.isfinite().all()
    alone = solve(case.solver, case.quadratic(slice(0, 1)), case.start()[:1], stop=stop)
    assert alone.iterations == result.iterations[:1]
    torch.testing.assert_close(alone.x, result.x[:1], rtol=1e-7, atol=1e-7)


def test_converged_means_that_the_residual_is_below_the_tolerance(case):
    for tolerance in (1e-2, 1e-4):
        seen: list[Tensor] = []

        def watch(iteration: int, state: State, seen: list[Tensor] = seen) -> dict[str, Tensor]:
            del iteration
            seen.append(state.residual)
            return {}

        stop = to_the_end(case, tolerance)
        result = solve(case.solver, case.quadratic(), case.start(), stop=stop, observe=[watch])
        assert result.status == (Status.CONVERGED,) * 2
        for i, n in enumerate(result.iterations):
            assert seen[n - 1][i] <= tolerance
            assert all(residual[i] > tolerance for residual in seen[: n - 1])


def test_a_spent_budget_is_called_so(case):
    result = solve(case.solver, case.quadratic(), case.start(), stop=until(iterations=2))
    assert result.status == (Status.EXHAUSTED,) * 2
    assert result.iterations == (2, 2)


def test_float32_comes_as_close_as_float32_can(case):
    problem = case.quadratic(y=case.measured(BATCH).float()).to(torch.float32)
    stop = until(iterations=case.iterations, residual=case.single)
    result = solve(case.solver, problem, case.start().float(), stop=stop)
    assert result.x.dtype == torch.float32
    assert set(result.status) <= {Status.CONVERGED, Status.STALLED}
    torch.testing.assert_close(result.x.double(), closed_form(case), rtol=0, atol=5e-3)


def test_arguments_stay_as_they_were(case):
    problem, x0 = case.quadratic(), case.start()
    before, state = x0.clone(), {k: v.clone() for k, v in problem.named_buffers()}
    solve(case.solver, problem, x0, stop=until(iterations=5))
    assert torch.equal(x0, before)
    assert all(torch.equal(v, state[k]) for k, v in problem.named_buffers())


def test_a_start_at_the_minimum_ends_there(case):
    best = closed_form(case)
    result = solve(case.solver, case.quadratic(), best, stop=to_the_end(case))
    assert set(result.status) <= {Status.CONVERGED, Status.STALLED}
    torch.testing.assert_close(result.x, best, rtol=0, atol=2e-5)


def test_nothing_to_restore_is_restored_at_once(case):
    """A black picture, a zero gradient and a zero value: no division by zero."""
    black = torch.zeros_like(case.start())
    result = solve(case.solver, case.quadratic(y=black), black, stop=to_the_end(case))
    assert same(result.x, black)
    assert set(result.status) <= {Status.CONVERGED, Status.STALLED}


def test_a_constraint_is_kept_or_refused(case):
    """Kept: the result is in the box, and no step along −∇ inside the box leads away from it."""
    problem, box, stop = case.quadratic(), Box(0.4, 0.6), to_the_end(case)
    problem.constraint = box
    free = closed_form(case)
    assert not torch.equal(box.prox(free, 1.0), free)  # or the law would be idle
    try:
        x = solve(case.solver, problem, case.start(), stop=stop).x
    except ValueError as refusal:
        assert "takes no constraint, got Box; " in str(refusal)
    else:
        assert torch.equal(box.prox(x, 1.0), x)
        ahead = box.prox(x - 2e-3 * problem.grad(x), 1.0)  # about the inverse of the curvature
        torch.testing.assert_close(ahead, x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("of", ["weight", "measurement"])
def test_a_derivative_is_right_or_refused(case, of):
    """Through all iterations to the minimum, against differences of the closed form."""
    weight, y, small = case.weight(BATCH), case.measured(BATCH), 1e-4
    towards = uniform(*y.shape, seed=3) if of == "measurement" else weight
    ahead, behind = (
        closed_form(case, y + step * towards, weight)
        if of == "measurement"
        else closed_form(case, y, weight + step * towards)
        for step in (small, -small)
    )
    probe = uniform(*y.shape, seed=4)
    expected = (probe * (ahead - behind)).sum() / (2 * small)
    followed = (weight if of == "weight" else y).clone().requires_grad_()
    problem = case.problem(
        case.operator(BATCH),
        case.std,
        followed if of == "measurement" else y,
        followed if of == "weight" else weight,
    )
    with torch.no_grad():
        part = solve(case.solver, problem, case.start(), stop=until(iterations=2))
    try:
        x = solve(case.solver, problem, case.start(), stop=to_the_end(case)).x
    except ValueError as refusal:
        assert "gives no derivatives" in str(refusal)
        with pytest.raises(ValueError, match="gives no derivatives"):
            solve(case.solver, problem, start=part, stop=to_the_end(case))
        with pytest.raises(ValueError, match="gives no derivatives"):
            advance(case.solver, problem, case.start(), 1)
    else:
        (gradient,) = torch.autograd.grad((probe * x).sum(), followed)
        torch.testing.assert_close((gradient * towards).sum(), expected, rtol=5e-3, atol=1e-6)


class Flat(Proximable):
    """A functional of images, as one of vectors (b, n)."""

    def __init__(self, inner: Proximable | Functional, shape: torch.Size) -> None:
        super().__init__()
        self.inner, self.shape = inner, shape

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.unflatten(1, self.shape))

    def prox(self, v: Tensor, step: float | Tensor) -> Tensor:
        return self.inner.prox(v.unflatten(1, self.shape), step).flatten(1)


@pytest.mark.parametrize("name", SMOOTH)
def test_the_variable_may_be_any_vector(name):
    case, x0 = SMOOTH[name], SMOOTH[name].start()
    image, stop = case.quadratic(), to_the_end(case, 100 * case.tolerance)
    parts = (Flat(part, x0.shape[1:]) for part in (image.fidelity, image.prior))
    result = solve(case.solver, Objective(*parts, image.weight), x0.flatten(1), stop=stop)
    expected = solve(case.solver, image, x0, stop=stop)
    assert result.x.shape == (2, 30)
    assert result.iterations[0] != result.iterations[1]  # or no sample waits for the other
    torch.testing.assert_close(result.x, expected.x.flatten(1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["primal-dual", "preconditioned primal-dual"])
def test_a_state_nearby_saves_iterations_and_stays_as_it_was(name):
    case = SOLVERS[name]
    problem, stop = case.quadratic(), to_the_end(case)
    far = solve(case.solver, problem, case.start(), stop=stop)
    near = advance(case.solver, problem, far.x, 30, near=far.state)
    cold = advance(case.solver, problem, far.x, 30)
    before = far.state.p.clone()
    best = closed_form(case)
    assert (near.x - best).norm() < 1e-2 * (cold.x - best).norm()
    assert torch.equal(far.state.p, before)

"""Laws of every functional: priors, fidelities, objectives. A case in tests/cases.py is enough."""

import copy

import pytest
import torch
from torch import Tensor

from tests.cases import FUNCTIONALS, FunctionalCase, uniform
from undegrade.core.functional import Composite, Convex, Functional, Proximable
from undegrade.core.image import dot, norm, per_sample

STEPS = (1e-3, 0.1, torch.tensor([0.02, 3.0], dtype=torch.float64))


def cases_of(kind: type[Functional]) -> list[str]:
    return [name for name, case in FUNCTIONALS.items() if isinstance(case.functional, kind)]


every = pytest.mark.parametrize("name", FUNCTIONALS)
proximable = pytest.mark.parametrize("name", cases_of(Proximable))
convex = pytest.mark.parametrize("name", cases_of(Convex))
composite = pytest.mark.parametrize("name", cases_of(Composite))


def parts(name: str) -> tuple[FunctionalCase, Functional, Tensor]:
    case = FUNCTIONALS[name]
    return case, case.functional, case.image()


def some_images(case: FunctionalCase, about: Tensor) -> list[Tensor]:
    """Near and far from a point."""
    shifts = [uniform(*case.shape, seed=seed) - 0.5 for seed in range(10)]
    return [about + size * shift for size in (1e-4, 1e-2, 1.0, 30.0) for shift in shifts]


@every
def test_value_and_gradient_are_what_autograd_says(name):
    _, f, x = parts(name)
    value, gradient = f.value_and_grad(x)
    expected = Functional.value_and_grad(f, x)
    assert value.shape == (2,)
    torch.testing.assert_close(value, f(x))
    torch.testing.assert_close(value, expected[0])
    torch.testing.assert_close(gradient, expected[1])
    torch.testing.assert_close(f.grad(x), expected[1])


@every
def test_the_gradient_is_the_slope_of_the_value(name):
    _, f, x = parts(name)
    x = x.requires_grad_()
    if f(x).requires_grad:  # an indicator is flat inside
        assert torch.autograd.gradcheck(f, x)
    else:
        assert not f.grad(x).any()


@every
def test_the_hessian_is_the_slope_of_the_gradient(name):
    case, f, x = parts(name)
    v, h = uniform(*case.shape, seed=3) - 0.5, 1e-6
    product = f.hvp(x, v)
    torch.testing.assert_close(product, Functional.hvp(f, x, v))
    slope = (f.grad(x + h * v) - f.grad(x - h * v)) / (2 * h)
    torch.testing.assert_close(product, slope, rtol=1e-5, atol=1e-6)


@every
def test_the_curvature_is_symmetric_and_positive(name):
    case, f, x = parts(name)
    curved = f.curvature(x)
    u, v = uniform(*case.shape, seed=3) - 0.5, uniform(*case.shape, seed=4) - 0.5
    torch.testing.assert_close(dot(u, curved(v)), dot(curved(u), v))
    assert (dot(u, curved(u)) >= -1e-9 * dot(u, u)).all()


@every
def test_a_preconditioner_is_symmetric_and_nearer_to_the_inverse_than_a_diagonal(name):
    case, f, x = parts(name)
    weight = torch.tensor([3.0, 0.5], dtype=torch.float64)
    known = f.preconditioner(x, weight)
    if known is None:
        return
    shift = 0.01 + uniform(*case.shape, seed=5)
    solve, curved = known(shift), f.curvature(x)
    u, v = uniform(*case.shape, seed=3) - 0.5, uniform(*case.shape, seed=4) - 0.5
    torch.testing.assert_close(dot(u, solve(v)), dot(solve(u), v))
    assert (dot(u, solve(u)) > 0).all()
    r = shift * u + per_sample(weight, u) * curved(u)
    assert (norm(solve(r) - u) < 0.5 * norm(u)).all()


@every
def test_a_dual_of_zero_adds_nothing_and_any_it_reaches_keeps_the_curvature_positive(name):
    case, f, x = parts(name)
    u, v = uniform(*case.shape, seed=3) - 0.5, uniform(*case.shape, seed=4) - 0.5
    curved, moved = f.tightened(x, f.dual(x))
    torch.testing.assert_close(curved(u), f.curvature(x)(u))
    dual = moved(3 * v)
    assert dual.shape == f.dual(x).shape
    curved, _ = f.tightened(x, dual)
    torch.testing.assert_close(dot(u, curved(v)), dot(curved(u), v))
    assert (dot(u, curved(u)) >= -1e-9 * dot(u, u)).all()


@every
def test_where_the_dual_has_settled_the_curvature_is_the_hessian(name):
    """Steps of 0 move the dual to its place; then only a kink keeps more curvature."""
    case, f, x = parts(name)
    dual = f.dual(x)
    if not dual.numel():
        return
    for _ in range(60):  # it is a contraction
        dual = f.tightened(x, dual)[1](torch.zeros_like(x))
    v = uniform(*case.shape, seed=4) - 0.5
    torch.testing.assert_close(f.tightened(x, dual)[0](v), f.hvp(x, v))


@every
def test_the_gradient_can_be_differentiated(name):
    _, f, x = parts(name)
    x = x.requires_grad_()
    if f.grad(x).requires_grad and torch.autograd.grad(f.grad(x).sum(), x)[0].any():
        assert torch.autograd.gradcheck(f.grad, x, fast_mode=True)


@every
def test_own_parameters_have_gradients(name):
    _, f, x = parts(name)
    names = dict(f.named_parameters())

    def value_and_slope(*values: Tensor) -> tuple[Tensor, Tensor]:
        own = dict(zip(names, values, strict=True))
        value = torch.func.functional_call(f, own, (x,))
        slope = torch.func.functional_call(
            _Gradient(f), {f"f.{k}": v for k, v in own.items()}, (x,)
        )
        return value, slope

    if names:
        assert torch.autograd.gradcheck(value_and_slope, tuple(names.values()), fast_mode=True)


class _Gradient(torch.nn.Module):
    def __init__(self, f: Functional) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: Tensor) -> Tensor:
        return self.f.grad(x)


@proximable
@pytest.mark.parametrize("step", STEPS, ids=["small", "medium", "per sample"])
def test_prox_is_the_minimizer(name, step):
    """(v − p)/step is a subgradient at p = prox(v): f(u) ≥ f(p) + ⟨(v − p)/step, u − p⟩."""
    case, f, x = parts(name)
    v = 2 * x - 0.6
    p = f.prox(v, step)
    slope = (v - p) / per_sample(step, v)
    assert torch.isfinite(f(p)).all()
    for u in some_images(case, p):
        assert (f(u) >= f(p) + dot(slope, u - p) - 1e-8 * (1 + norm(slope) * norm(u - p))).all()


@proximable
def test_prox_is_firmly_non_expansive(name):
    case, f, x = parts(name)
    for step in STEPS:
        v, w = 2 * x - 0.6, x + 3 * uniform(*case.shape, seed=4)
        p, q = f.prox(v, step), f.prox(w, step)
        assert (dot(p - q, p - q) <= dot(p - q, v - w) * (1 + 1e-9) + 1e-12).all()


@convex
def test_conjugate_is_the_supremum(name):
    """Fenchel–Young: f(u) + f*(p) ≥ ⟨p, u⟩ for all u, with equality where p is a slope at u."""
    case, f, x = parts(name)
    v = 2 * x - 0.6
    at = f.prox(v, 0.1)
    p = (1 - 1e-12) * (v - at) / 0.1  # rounding must not carry it past a boundary of the domain
    conjugate = f.conjugate(p)
    torch.testing.assert_close(conjugate, dot(p, at) - f(at), rtol=1e-6, atol=1e-6)
    for u in some_images(case, at):
        assert (f(u) + conjugate >= dot(p, u) - 1e-6 * (1 + norm(p) * norm(u))).all()


@convex
def test_conjugate_bounds_every_value_from_above(name):
    case, f, x = parts(name)
    for size in (1e-2, 1.0, 40.0):
        p = size * (uniform(*case.shape, seed=5) - 0.5)
        conjugate = f.conjugate(p)
        for u in some_images(case, x):
            assert (f(u) + conjugate >= dot(p, u) - 1e-6 * (1 + norm(p) * norm(u))).all()


@convex
def test_the_bound_on_the_conjugate_holds_half_a_range_away(name):
    """Fenchel–Young, f(u) + f̄(p) ≥ ⟨p, u⟩, for all u that x stands for."""
    case, f, x = parts(name)
    low, high = (per_sample(v, x) for v in (x.flatten(1).amin(1), x.flatten(1).amax(1)))
    margin, middle = 0.999 * (high - low), (low + high) / 2
    for size in (1e-2, 1.0, 40.0):
        p = size * (uniform(*case.shape, seed=5) - 0.5)
        bound = f.conjugate_bound(p, x)
        # random, and where ⟨p, u⟩ is largest
        for u in (middle + margin * (2 * uniform(*x.shape) - 1), middle + margin * p.sign()):
            assert (f(u) + bound >= dot(p, u) - 1e-6 * (1 + norm(p) * norm(u))).all()


@convex
def test_prox_of_the_conjugate_is_the_minimizer(name):
    """Where f* is finite: f*(q) ≥ f*(p) + ⟨(v − p)/step, q − p⟩ for p = prox_conjugate(v)."""
    case, f, x = parts(name)
    for step in STEPS:
        p = f.prox_conjugate(x, step)
        slope = (x - p) / per_sample(step, x)
        for q in some_images(case, p):
            gain = f.conjugate(q) - f.conjugate(p) - dot(slope, q - p)
            assert (gain >= -1e-6 * (1 + norm(slope) * norm(q - p) + norm(p))).all()


@every
def test_the_modulus_can_be_taken_off(name):
    """f is at least m/8·‖u − v‖² below its chord in the middle; −∞ promises nothing."""
    case, f, x = parts(name)
    for u in some_images(case, x):
        chord = 0.5 * (f(x) + f(u)) - f.modulus(x) / 8 * dot(u - x, u - x)
        assert (f(0.5 * (x + u)) <= chord + 1e-9 * (1 + chord.abs())).all()


@composite
def test_the_parts_of_a_composite_make_it_up(name):
    case, f, x = parts(name)
    assert isinstance(f, Composite)
    torch.testing.assert_close(f(x), f.outer(f.inner(x)))
    u = uniform(*case.shape, seed=6) - 0.5
    for _ in range(50):
        u = f.inner.adjoint(f.inner(u))
        u = u / per_sample(norm(u), u)
    assert (norm(f.inner(u)).square() <= f.squared_norm(x) * (1 + 1e-9)).all()


@composite
def test_the_half_steps_of_a_composite_are_those_of_its_parts(name):
    _, f, x = parts(name)
    assert isinstance(f, Composite)
    p, step = f.inner(x) * 0.3, torch.tensor([0.1, 0.4], dtype=x.dtype)
    weight = torch.tensor([0.5, 2.0], dtype=x.dtype)
    expected = Composite.ascend(f, p.clone(), x, step, weight)
    torch.testing.assert_close(f.ascend(p.clone(), x, step, weight), expected)
    torch.testing.assert_close(f.descend(x, p, step), Composite.descend(f, x, p, step))


@every
def test_one_image_never_depends_on_its_neighbors(name):
    case, f, x = parts(name)
    for i in range(2):
        rows = slice(i, i + 1)
        alone, one = case.make(rows), x[rows]
        torch.testing.assert_close(f(x)[rows], alone(one))
        torch.testing.assert_close(f.grad(x)[rows], alone.grad(one))
        torch.testing.assert_close(f.hvp(x, x)[rows], alone.hvp(one, one))


@proximable
def test_one_prox_never_depends_on_its_neighbors(name):
    case, f, x = parts(name)
    steps = torch.tensor([0.02, 3.0], dtype=x.dtype)
    for i in range(2):
        rows = slice(i, i + 1)
        alone = case.make(rows)
        assert isinstance(f, Proximable)
        assert isinstance(alone, Proximable)
        torch.testing.assert_close(f.prox(x, steps)[rows], alone.prox(x[rows], steps[rows]))
        torch.testing.assert_close(f.prox(x, 0.02)[:1], f.prox(x, steps)[:1])


@every
def test_arguments_stay_as_they_were(name):
    _, f, x = parts(name)
    before, state = x.clone(), copy.deepcopy(f.state_dict())
    value, gradient = f.value_and_grad(x)
    gradient += 1  # what is returned is the caller's own
    value += 1
    f(x), f.hvp(x, x)
    if isinstance(f, Proximable):
        f.prox(x, 0.5).add_(1)
    assert torch.equal(x, before)
    assert all(torch.equal(value, state[key]) for key, value in f.state_dict().items())


@every
def test_everything_follows_the_dtype_of_its_input(name):
    _, f, x = parts(name)
    single = copy.deepcopy(f).to(torch.float32)
    value, gradient = single.value_and_grad(x.float())
    assert value.dtype == gradient.dtype == torch.float32
    torch.testing.assert_close(value.double(), f(x), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient.double(), f.grad(x), rtol=1e-3, atol=1e-3)
    if isinstance(f, Proximable):
        near = single.prox(x.float(), 0.1)
        assert near.dtype == torch.float32
        torch.testing.assert_close(near.double(), f.prox(x, 0.1), rtol=1e-3, atol=1e-3)


@every
def test_a_copy_and_a_reloaded_one_are_the_same(name):
    _, f, x = parts(name)
    twin = copy.deepcopy(f)
    twin.load_state_dict(f.state_dict())
    assert torch.equal(twin(x), f(x))


@every
def test_it_prints_without_its_pixels(name):
    assert len(repr(FUNCTIONALS[name].functional)) < 400

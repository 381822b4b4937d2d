from dataclasses import replace

import pytest
import torch

from tests.cases import uniform
from undegrade.core.image import norm
from undegrade.core.objective import Fidelity
from undegrade.core.solver import solve
from undegrade.core.stopping import Status, until
from undegrade.learned.gradient_features import GradientFeatures
from undegrade.learned.least_squares_features import LeastSquaresFeatures
from undegrade.learned.quadratic_model import QuadraticModel
from undegrade.learned.rim import RIM
from undegrade.learned.schedule import GeometricErrors, ListedErrors
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.poisson import Poisson
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.machines.architecture import ARCHITECTURES
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.function import Function
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.operators.response import Response
from undegrade.operators.response_curves import Gamma
from undegrade.parametrizations.pointwise import Affine, Sigmoid

NOISE = ARCHITECTURES["denoising"].features
assert isinstance(NOISE, LeastSquaresFeatures)


class Averaging(torch.nn.Module):
    """A cell with a known answer: half a gradient step, counting its calls in the hidden state."""

    def __init__(self, first: int = 3) -> None:
        super().__init__()
        self.first = first
        self.scale = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, features, hidden):
        hidden = torch.zeros_like(features[:, :1]) if hidden is None else hidden
        return -self.scale * features[:, self.first : self.first + 3], hidden + 1


def problem(b: int = 2, c: int = 3) -> Fidelity:
    y = uniform(b, c, 7, 6)
    return Fidelity(Identity(), Gaussian(torch.linspace(0.05, 0.1, b).double()), y)


def test_descent_along_the_residual_halves_it():
    rim, p = RIM(Averaging(), NOISE, Affine(), steps=3), problem()
    x0 = torch.zeros_like(p.y)
    state = rim.init(p, x0)
    error = (state.x - p.y).abs()
    for n in range(1, 4):
        state = rim.step(p, state)
        torch.testing.assert_close((state.x - p.y).abs(), error / 2**n)
    assert state.hidden is not None
    assert (state.hidden == 3).all()


@pytest.mark.parametrize("parametrization", [Affine(), Affine(0.5, 0.5), Sigmoid(0.05)])
def test_parametrizations_invert_and_pull_gradients_back(parametrization):
    x, gradient = 0.02 + 0.96 * uniform(2, 3, 5, 4), uniform(2, 3, 5, 4, seed=1)
    latent = parametrization.latent(x)
    torch.testing.assert_close(parametrization.image(latent), x)
    expected = torch.func.vjp(parametrization.image, latent)[1](gradient)[0]
    torch.testing.assert_close(parametrization.pullback(latent, gradient), expected)


def test_parametrizations_without_an_inverse_are_refused():
    with pytest.raises(ValueError, match="other than 0"):
        Affine(0.0)
    with pytest.raises(ValueError, match=r"between 0 and ½, got 0\.5"):
        Sigmoid(0.5)


def test_the_sigmoid_keeps_what_lies_outside_finite():
    x = torch.tensor([-1.0, 0.0, 1.0, 2.0]).reshape(1, 1, 1, 4)
    assert Sigmoid().latent(x).isfinite().all()


def test_gradient_features_are_the_likelihoods_gradient_in_the_latent():
    psi, p = Sigmoid(), problem()
    features = GradientFeatures().double()
    variance = features.prepare(p, p.y, 1)[1]
    latent = uniform(2, 3, 7, 6, seed=3)
    shown = features.compute(p, variance, latent, psi, 0)
    slope = torch.func.grad(lambda e: p(psi.image(e)).sum())(latent)
    epsilon = torch.nn.functional.softplus(features.log_epsilon)
    torch.testing.assert_close(variance, p.likelihood.std**2)
    scale = (variance / (variance + epsilon)).reshape(-1, 1, 1, 1)
    torch.testing.assert_close(shown.stacked(), torch.cat((latent, slope * scale), 1))
    assert shown.base is latent


def test_gradient_features_may_tell_the_noise_level():
    p, features = problem(), GradientFeatures(noise_level=True).double()
    seen = features.compute(p, features.prepare(p, p.y, 1)[1], p.y, Affine(), 0).stacked()
    assert seen.shape[1] == features.channels(3) == 7
    torch.testing.assert_close(
        seen[:, 6:], p.likelihood.std.reshape(-1, 1, 1, 1).expand_as(seen[:, 6:])
    )


def test_training_may_leave_the_gradient_out_of_its_gradient():
    p = problem(1)
    for differentiable in (True, False):
        features = GradientFeatures(differentiable=differentiable).double()
        latent = p.y.clone().requires_grad_()
        prepared = features.prepare(p, p.y, 1)[1]
        seen = features.compute(p, prepared, latent, Affine(), 0).stacked()
        (slope,) = torch.autograd.grad(seen[:, 3:].sum() + 0 * seen.sum(), latent)
        assert bool(slope.abs().amax() > 0) == differentiable


def test_a_batch_gives_what_its_members_give():
    p = problem()
    rim = RIM(Averaging(), NOISE, Affine(), steps=3)
    whole = solve(rim, p, torch.zeros_like(p.y), stop=until(iterations=2)).x
    for i in range(2):
        one = Fidelity(Identity(), Gaussian(p.likelihood.std[i : i + 1]), p.y[i : i + 1])
        x = solve(rim, one, torch.zeros_like(one.y), stop=until(iterations=2)).x
        torch.testing.assert_close(whole[i : i + 1], x)


def test_steps_can_be_taken_in_two_parts():
    rim, p = RIM(Averaging(), NOISE, Affine(), steps=3), problem()
    x0 = torch.zeros_like(p.y)
    first = solve(rim, p, x0, stop=until(iterations=2))
    parts = solve(rim, p, start=first, stop=until(iterations=5))
    assert torch.equal(parts.x, solve(rim, p, x0, stop=until(iterations=5)).x)


def test_what_is_not_a_number_diverges():
    p = problem()
    p.y[0, 0, 0, 0] = torch.nan
    result = solve(
        RIM(Averaging(), NOISE, Affine(), steps=3),
        p,
        0 * uniform(2, 3, 7, 6),
        stop=until(iterations=3),
    )
    assert result.status[0] is Status.DIVERGED
    assert result.status[1] is Status.EXHAUSTED


def test_a_gray_image_is_three_equal_channels():
    rim, p = RIM(Averaging(), NOISE, Affine(), steps=3), problem(2, 1)
    colored = Fidelity(Identity(), p.likelihood, p.y.expand(-1, 3, -1, -1))
    gray = solve(rim, p, torch.zeros_like(p.y), stop=until(iterations=2)).x
    color = solve(rim, colored, torch.zeros_like(colored.y), stop=until(iterations=2)).x
    torch.testing.assert_close(gray.expand(-1, 3, -1, -1), color)


class Noting(Averaging):
    """Notes the error that it is told to expect, and moves the colors by 0, 0.1 and 0.2."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[float] = []

    def forward(self, features, hidden):
        self.told.append(float(features[0, NOISE.part("expected error", 3), 0, 0]))
        move = 0.1 * torch.arange(3, dtype=features.dtype).reshape(1, 3, 1, 1)
        return move.expand(len(features), -1, *features.shape[-2:]), hidden


def test_a_gray_image_moves_by_the_mean_of_the_colors():
    rim, p = RIM(Noting(), NOISE, Affine(), steps=3), problem(2, 1)
    x = solve(rim, p, torch.zeros_like(p.y), stop=until(iterations=1)).x
    torch.testing.assert_close(x - rim.init(p, torch.zeros_like(p.y)).x, torch.full_like(x, 0.1))


def test_every_step_is_told_the_error_to_expect():
    cell, p = Noting(), problem()
    features = replace(NOISE, schedule=ListedErrors((0.5, 0.4, 0.3)))
    rim = RIM(cell, features, Affine(), steps=3)
    solve(rim, p, p.y, stop=until(iterations=3))
    assert cell.told == pytest.approx([0.4, 0.3, 0.3])


def test_other_numbers_of_channels_are_refused():
    p = problem(1, 2)
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        RIM(Averaging(), NOISE, Affine(), steps=3).init(p, p.y)


def test_memory_does_not_grow_with_the_steps():
    """At inference a state refers to no earlier one."""
    rim, p = RIM(Averaging(), NOISE, Affine(), steps=3), problem()
    with torch.no_grad():
        state = rim.init(p, p.y)
        for _ in range(3):
            state = rim.step(p, state)
    assert state.x.grad_fn is None
    assert state.hidden is not None
    assert state.hidden.grad_fn is None


KERNEL = uniform(5, 3, seed=4) / uniform(5, 3, seed=4).sum()
PARTS = ("estimate", "residual", "move", "coverage", "expected error", "noise level")


def seen_at_the_start(p: Fidelity, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a cell for noise is shown of x in its first step, by part."""
    shown = NOISE.compute(p, NOISE.prepare(p, x, 2)[1], x, Affine(), 0)
    seen = shown.stacked()
    assert shown.base is x
    return {name: seen[:, NOISE.part(name, 3)] for name in PARTS}


@pytest.mark.parametrize(
    "operator",
    [Identity(), Mask(uniform(12, 9) > 0.5), Blur(KERNEL, "periodic")],
    ids=["identity", "mask", "periodic"],
)
def test_a_move_is_regularized_least_squares(operator):
    """Where AAᵀ is a periodic convolution: x + d solves (AᵀA + μ)(x + d) = Aᵀy + μx."""
    x = uniform(2, 3, 12, 9, seed=5)
    std = torch.tensor([0.03, 0.1]).double()
    p = Fidelity(operator, Gaussian(std), operator(uniform(2, 3, 12, 9, seed=6)))
    seen = seen_at_the_start(p, x)
    mu = ((std / 0.05) ** 2).reshape(-1, 1, 1, 1)
    z = x + seen["move"]
    left = operator.adjoint(operator(z)) + mu * z
    torch.testing.assert_close(left, operator.adjoint(p.y) + mu * x, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(seen["estimate"], x)
    torch.testing.assert_close(seen["residual"], operator.adjoint(operator(x) - p.y))
    torch.testing.assert_close(seen["expected error"], torch.full_like(x[:, :1], 0.05))
    torch.testing.assert_close(seen["noise level"][:, 0, 0, 0], std)


def test_a_move_behind_a_decimated_blur():
    operator = Downsample(2) @ Blur(KERNEL, "periodic")
    x = uniform(1, 3, 12, 10, seed=5)
    p = Fidelity(operator, Gaussian(0.03), operator(uniform(1, 3, 12, 10, seed=6)))
    z = x + seen_at_the_start(p, x)["move"]
    left = operator.adjoint(operator(z)) + 0.36 * z
    torch.testing.assert_close(left, operator.adjoint(p.y) + 0.36 * x, atol=1e-6, rtol=1e-6)


SPLIT = {
    "identity": Identity(),
    "mask": Mask(uniform(12, 9) > 0.5),
    "periodic": Blur(KERNEL, "periodic"),
    "decimated": Downsample(3) @ Blur(KERNEL, "periodic"),
}


@pytest.mark.parametrize("operator", SPLIT.values(), ids=SPLIT)
def test_splitting_stands_where_regularized_least_squares_does(operator):
    """z solves (AᵀA + μ) z = Aᵀy + μx, μ = λσ²/τ², each sample with its own noise."""
    x, std = uniform(2, 3, 12, 9, seed=5), torch.tensor([0.03, 0.1]).double()
    p = Fidelity(operator, Gaussian(std), operator(uniform(2, 3, 12, 9, seed=6)))
    features = LeastSquaresFeatures(schedule=GeometricErrors(first=0.3), strength=0.4)
    prepared = features.prepare(p, x, 3)[1]
    for iteration, tau in enumerate((torch.full_like(std, 0.3), (0.3 * std).sqrt(), std, std)):
        shown = features.compute(p, prepared, x, Affine(), iteration)
        z, seen = shown.base, shown.stacked()
        mu = 0.4 * ((std / tau) ** 2).reshape(-1, 1, 1, 1)
        left = operator.adjoint(operator(z)) + mu * z
        torch.testing.assert_close(left, operator.adjoint(p.y) + mu * x, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(seen[:, :3], z)
        torch.testing.assert_close(seen[:, 3:6], operator.adjoint(operator(x) - p.y))
        torch.testing.assert_close(seen[:, 6:9], z - x)
        torch.testing.assert_close(seen[:, 12, 0, 0], tau)
        torch.testing.assert_close(seen[:, 13, 0, 0], std)


@pytest.mark.parametrize("operator", SPLIT.values(), ids=SPLIT)
def test_splitting_is_differentiated_through_its_move(operator):
    """The pulled-back gradient is that of z, which is affine in x."""
    x, v, w = (uniform(1, 3, 12, 9, seed=n) for n in range(5, 8))
    p = Fidelity(operator, Gaussian(0.1), operator(x))
    features = LeastSquaresFeatures()
    prepared = features.prepare(p, x, 4)[1]

    def z(x):
        return features.compute(p, prepared, x, Affine(), 0).base

    x.requires_grad_()
    (pulled,) = torch.autograd.grad((w * z(x)).sum(), x)
    slope = (w * (z(x + v) - z(x))).sum()
    torch.testing.assert_close((pulled * v).sum(), slope, atol=1e-5, rtol=1e-5)


def test_a_cell_moves_from_where_splitting_stands():
    rim, p = RIM(Noting(), LeastSquaresFeatures(strength=1.0), Affine(), steps=4), problem()
    x0 = torch.zeros_like(p.y)
    state = rim.step(p, rim.init(p, x0))
    mu = (p.likelihood.std / 0.15).square().reshape(-1, 1, 1, 1)
    colors = 0.1 * torch.arange(3).reshape(1, 3, 1, 1)
    torch.testing.assert_close(state.x, p.y / (1 + mu) + colors)


def test_lost_entries_say_nothing():
    y = uniform(1, 3, 8, 8)
    y[..., 2, 3] = 0.0
    p = Fidelity(Identity(), SaltAndPepper(0.5), y)
    seen = seen_at_the_start(p, uniform(1, 3, 8, 8, seed=9))
    for name in ("residual", "move", "coverage"):
        assert (seen[name][..., 2, 3] == 0).all()
    assert (seen["coverage"].mean() - 63 / 64).abs() < 1e-9


def test_uneven_noise_is_told_as_a_map():
    y = torch.full((1, 3, 40, 8), 0.04, dtype=torch.float64)
    y[..., 20:, :] = 0.64
    p = Fidelity(Identity(), Poisson(1000.0), y)
    level = seen_at_the_start(p, y)["noise level"][:, 0]
    torch.testing.assert_close(level[0, 0], level.new_full((8,), (0.041 / 1000) ** 0.5))
    torch.testing.assert_close(level[0, -1], level.new_full((8,), (0.641 / 1000) ** 0.5))


@pytest.mark.parametrize("features", [NOISE, LeastSquaresFeatures()], ids=["noise", "all"])
def test_a_nonlinear_operator_is_linearized_about_the_estimate(features):
    A, x = Function(lambda x: x**2 + x.roll(1, -1)), uniform(1, 3, 6, 5)
    y = A(x) + 0.1 * uniform(1, 3, 6, 5, seed=1)
    value, jacobian = A.linearize(x)
    shown, models = [], []
    for operator, measured in ((A, y), (jacobian, y - value + jacobian(x))):
        p = Fidelity(operator, Gaussian(0.1), measured)
        prepared = features.prepare(p, x, 1)[1]
        models.append(prepared.model)
        # but for the preconditioner, which is told about a flat picture where φ bends
        same = replace(prepared.model, spectrum=models[0].spectrum)
        prepared = prepared._replace(model=same)
        shown.append(features.compute(p, prepared, x, Affine(), 0).stacked())
    torch.testing.assert_close(*shown)


def test_one_dark_entry_in_the_middle_does_not_decide_the_preconditioner():
    x, response, blur = uniform(1, 3, 13, 11) + 0.1, Response(Gamma(2.2)), Blur(KERNEL, "replicate")
    x[..., 5:8, 4:7] = 1e-3
    encoded = response @ blur @ response.inverse
    models = [
        QuadraticModel.of(Fidelity(operator, Gaussian(0.1), operator(x)), x)
        for operator in (blur, encoded)
    ]
    torch.testing.assert_close(models[0].spectrum, models[1].spectrum)


@pytest.mark.parametrize("kind", [NOISE, LeastSquaresFeatures()], ids=["noise", "all"])
@pytest.mark.parametrize("boundary", ["periodic", "replicate"])
def test_in_the_end_no_entry_is_missed_by_more_than_the_noise_allows(boundary, kind):
    x = uniform(1, 3, 12, 9, seed=5)
    blur, features = Blur(KERNEL, boundary), replace(kind, cg_iterations=60)
    cases = ((Identity(), 0.1), (Mask(uniform(12, 9) > 0.5), 0.1), (blur, 0.5))
    for operator, part in cases:
        p = Fidelity(operator, Gaussian(0.005), operator(uniform(1, 3, 12, 9, seed=6)))
        prepared = features.prepare(p, x, 1)[1]
        before = (operator(x) - p.y).abs()
        moved = features.finish(p, prepared, x)
        after = (operator(moved) - p.y).abs()
        assert before.max() > 0.1
        assert after.max() < part * before.max()
        truth = features.finish(p, prepared, uniform(1, 3, 12, 9, seed=6))
        torch.testing.assert_close(truth, uniform(1, 3, 12, 9, seed=6))


def test_an_estimate_that_leaves_the_noise_and_adds_an_error_is_not_believed():
    """Its residual is as small as that of a good one; what it leaves of noise tells them apart."""
    std, generator = 0.01, torch.Generator().manual_seed(0)
    x = 0.2 + 0.6 * torch.rand(1, 3, 64, 70, generator=generator)
    added, n = 0.8 * std * torch.randn(2, 1, 3, 64, 70, generator=generator)
    y = x + n / 0.8
    p = Fidelity(Identity(), Gaussian(std), y)
    prepared = NOISE.prepare(p, x, 1)[1]
    estimates = {
        "bad": lambda y: y + added,
        "good": lambda y: 0.8 * x + 0.2 * y,
        "half": lambda y: 0.5 * (x + y) + added,
    }
    found = {k: NOISE.finish(p, prepared, f(y), f) for k, f in estimates.items()}
    errors = {k: (f - x).square().mean() / std**2 for k, f in found.items()}
    assert errors["bad"] < 1.1
    assert errors["good"] < 0.05  # as it came: 0.2²
    assert errors["half"] < 0.76  # 0.89 as it came, 0.72 in the best mix with y
    strong = Fidelity(Identity(), Gaussian(0.1), y)
    asked = NOISE.finish(strong, NOISE.prepare(strong, x, 1)[1], y, pytest.fail)
    torch.testing.assert_close(asked, y)  # of much noise it is not asked


@pytest.mark.parametrize("values", [(), (0.1, 0.0), (-1.0,)])
def test_an_error_that_is_none_cannot_be_expected(values):
    with pytest.raises(ValueError, match="expected errors above 0"):
        ListedErrors(values)


@pytest.mark.parametrize("change", [{"strength": 0.0}, {"floor": -1.0}, {"cg_iterations": 0}])
def test_least_squares_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match="cg_iterations above 0"):
        LeastSquaresFeatures(**change)


def test_a_machine_has_a_step():
    with pytest.raises(ValueError, match="one step or more, got 0"):
        RIM(Averaging(), NOISE, Affine(), steps=0)


@pytest.mark.parametrize(
    ("boundary", "grid"), [("periodic", (31, 37)), ("valid", (30, 36)), ("replicate", (32, 40))]
)
def test_transforms_of_the_preconditioner_have_a_fast_size_where_no_other_is_exact(boundary, grid):
    x, blur = uniform(1, 3, 31, 37), Blur(KERNEL, boundary)
    y = blur(x)
    model = QuadraticModel.of(Fidelity(blur, Gaussian(0.1), y), blur.initial(y))
    assert model.grid == grid
    shift = torch.tensor([0.01], dtype=torch.float64)
    solved = model.solve(blur, y, shift, 1 if boundary == "periodic" else 30)
    left = blur(blur.adjoint(solved)) + shift * solved - y
    assert norm(left) <= 2e-4 * norm(y)

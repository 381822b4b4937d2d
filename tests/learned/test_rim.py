import pytest
import torch

from tests.cases import uniform
from undegrade.core.objective import Fidelity
from undegrade.core.operator import Operator
from undegrade.core.solver import solve
from undegrade.core.stopping import Status, until
from undegrade.learned.evidence import GradientEvidence
from undegrade.learned.preconditioned_evidence import PreconditionedEvidence
from undegrade.learned.rim import RIM
from undegrade.learned.splitting_evidence import SplittingEvidence
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.poisson import Poisson
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.identity import Identity
from undegrade.operators.mask import Mask
from undegrade.parametrizations.pointwise import Affine, Sigmoid


class Averaging(torch.nn.Module):
    """A cell with a known answer: half a gradient step, counting its calls in the hidden state."""

    def __init__(self, first: int = 3) -> None:
        super().__init__()
        self.first = first
        self.scale = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def start(self, features):
        return features.new_zeros(len(features), 1, *features.shape[-2:])

    def forward(self, features, hidden):
        return -self.scale * features[:, self.first : self.first + 3], hidden + 1


def problem(b: int = 2, c: int = 3) -> Fidelity:
    y = uniform(b, c, 7, 6)
    return Fidelity(Identity(), Gaussian(torch.linspace(0.05, 0.1, b).double()), y)


def test_descent_along_the_residual_halves_it():
    rim, p = RIM(Averaging(), PreconditionedEvidence(), Affine()), problem()
    x0 = torch.zeros_like(p.y)
    state = rim.init(p, x0)
    error = (state.x - p.y).abs()
    for n in range(1, 4):
        state = rim.step(p, state)
        torch.testing.assert_close((state.x - p.y).abs(), error / 2**n)
    assert state.hidden is not None
    assert (state.hidden == 3).all()


@pytest.mark.parametrize("link", [Affine(), Affine(0.5, 0.5), Sigmoid(0.05)])
def test_links_invert_and_know_their_slope(link):
    x = 0.02 + 0.96 * uniform(2, 3, 5, 4)
    latent = link.latent(x)
    torch.testing.assert_close(link.image(latent), x)
    slope = torch.func.jvp(link.image, (latent,), (torch.ones_like(latent),))[1]
    torch.testing.assert_close(link.slope(latent), slope)


def test_the_logit_keeps_what_lies_outside_finite():
    x = torch.tensor([-1.0, 0.0, 1.0, 2.0]).reshape(1, 1, 1, 4)
    assert Sigmoid().latent(x).isfinite().all()


def test_gradient_evidence_is_the_likelihoods_gradient_in_the_latent():
    link, p = Sigmoid(), problem()
    evidence = GradientEvidence().double()
    known = evidence.start(p, p.y)[1]
    latent = uniform(2, 3, 7, 6, seed=3)
    seen = evidence.look(p, known, latent, link, 0).features
    slope = torch.func.grad(lambda e: p(link.image(e)).sum())(latent)
    variance = p.likelihood.std.reshape(-1, 1, 1, 1) ** 2
    epsilon = torch.nn.functional.softplus(evidence.log_epsilon)
    torch.testing.assert_close(seen[:, :3], latent)
    torch.testing.assert_close(seen[:, 3:], slope * variance / (variance + epsilon))


def test_training_may_leave_the_gradient_out_of_its_gradient():
    p = problem(1)
    for differentiable, rank in ((True, 2), (False, 1)):
        evidence = GradientEvidence(differentiable=differentiable).double()
        latent = p.y.clone().requires_grad_()
        seen = evidence.look(p, evidence.start(p, p.y)[1], latent, Affine(), 0).features
        (slope,) = torch.autograd.grad(seen[:, 3:].sum() + 0 * seen.sum(), latent)
        assert int(slope.abs().amax() > 0) == rank - 1


def test_a_batch_gives_what_its_members_give():
    p = problem()
    rim = RIM(Averaging(), PreconditionedEvidence(), Affine())
    whole = solve(rim, p, torch.zeros_like(p.y), stop=until(iterations=2)).x
    for i in range(2):
        one = Fidelity(Identity(), Gaussian(p.likelihood.std[i : i + 1]), p.y[i : i + 1])
        x = solve(rim, one, torch.zeros_like(one.y), stop=until(iterations=2)).x
        torch.testing.assert_close(whole[i : i + 1], x)


def test_steps_can_be_taken_in_two_parts():
    rim, p = RIM(Averaging(), PreconditionedEvidence(), Affine()), problem()
    x0 = torch.zeros_like(p.y)
    first = solve(rim, p, x0, stop=until(iterations=2))
    parts = solve(rim, p, start=first, stop=until(iterations=5))
    assert torch.equal(parts.x, solve(rim, p, x0, stop=until(iterations=5)).x)


def test_what_is_not_a_number_diverges():
    p = problem()
    p.y[0, 0, 0, 0] = torch.nan
    result = solve(
        RIM(Averaging(), PreconditionedEvidence(), Affine()),
        p,
        0 * uniform(2, 3, 7, 6),
        stop=until(iterations=3),
    )
    assert result.status[0] is Status.DIVERGED
    assert result.status[1] is Status.EXHAUSTED


def test_a_gray_image_is_three_equal_channels():
    rim, p = RIM(Averaging(), PreconditionedEvidence(), Affine()), problem(2, 1)
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
        self.told.append(float(features[0, -1, 0, 0]))
        move = 0.1 * torch.arange(3, dtype=features.dtype).reshape(1, 3, 1, 1)
        return move.expand(len(features), -1, *features.shape[-2:]), hidden


def test_a_gray_image_moves_by_the_mean_of_the_colors():
    rim, p = RIM(Noting(), PreconditionedEvidence(), Affine()), problem(2, 1)
    x = solve(rim, p, torch.zeros_like(p.y), stop=until(iterations=1)).x
    torch.testing.assert_close(x - rim.init(p, torch.zeros_like(p.y)).x, torch.full_like(x, 0.1))


def test_every_step_is_told_the_error_to_expect():
    cell, p = Noting(), problem()
    rim = RIM(cell, PreconditionedEvidence(errors=(0.5, 0.4, 0.3)), Affine())
    solve(rim, p, p.y, stop=until(iterations=3))
    assert cell.told == pytest.approx([0.4, 0.3, 0.3])


def test_other_numbers_of_channels_are_refused():
    p = problem(1, 2)
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        RIM(Averaging(), PreconditionedEvidence(), Affine()).init(p, p.y)


def test_recomputing_changes_memory_and_nothing_else():
    p = problem()
    gradients = []
    for recompute in (False, True):
        rim = RIM(Averaging(), PreconditionedEvidence(), Affine(), recompute=recompute)
        state = rim.init(p, torch.zeros_like(p.y))
        for _ in range(3):
            state = rim.step(p, state)
        state.x.square().sum().backward()
        gradients.append(rim.cell.scale.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_memory_does_not_grow_with_the_steps():
    """At inference a state refers to no earlier one."""
    rim, p = RIM(Averaging(), PreconditionedEvidence(), Affine()), problem()
    with torch.no_grad():
        state = rim.init(p, p.y)
        for _ in range(3):
            state = rim.step(p, state)
    assert state.x.grad_fn is None
    assert state.hidden is not None
    assert state.hidden.grad_fn is None


KERNEL = uniform(5, 3, seed=4) / uniform(5, 3, seed=4).sum()


@pytest.mark.parametrize(
    "operator",
    [Identity(), Mask(uniform(12, 9) > 0.5), Blur(KERNEL, "periodic")],
    ids=["identity", "mask", "periodic"],
)
def test_the_preconditioned_step_is_regularized_least_squares(operator):
    """Where AAᵀ is a periodic convolution: x + d solves (AᵀA + μ)(x + d) = Aᵀy + μx."""
    x = uniform(2, 3, 12, 9, seed=5)
    std = torch.tensor([0.03, 0.1]).double()
    p = Fidelity(operator, Gaussian(std), operator(uniform(2, 3, 12, 9, seed=6)))
    evidence = PreconditionedEvidence()
    seen = evidence.look(p, evidence.start(p, x)[1], x, Affine(), 0).features
    mu = ((std / 0.05) ** 2).reshape(-1, 1, 1, 1)
    z = x + seen[:, 6:9]
    left = operator.adjoint(operator(z)) + mu * z
    torch.testing.assert_close(left, operator.adjoint(p.y) + mu * x, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(seen[:, 3:6], operator.adjoint(operator(x) - p.y))


def test_the_preconditioned_step_of_a_decimated_blur():
    operator = Downsample(2) @ Blur(KERNEL, "periodic")
    x = uniform(1, 3, 12, 10, seed=5)
    p = Fidelity(operator, Gaussian(0.03), operator(uniform(1, 3, 12, 10, seed=6)))
    evidence = PreconditionedEvidence()
    z = x + evidence.look(p, evidence.start(p, x)[1], x, Affine(), 0).features[:, 6:9]
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
    evidence = SplittingEvidence(steps=3, first=0.3, strength=0.4)
    known = evidence.start(p, x)[1]
    for iteration, tau in enumerate((torch.full_like(std, 0.3), (0.3 * std).sqrt(), std, std)):
        z, seen = evidence.look(p, known, x, Affine(), iteration)
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
    evidence = SplittingEvidence()
    known = evidence.start(p, x)[1]

    def z(x):
        return evidence.look(p, known, x, Affine(), 0).base

    x.requires_grad_()
    (pulled,) = torch.autograd.grad((w * z(x)).sum(), x)
    slope = (w * (z(x + v) - z(x))).sum()
    torch.testing.assert_close((pulled * v).sum(), slope, atol=1e-5, rtol=1e-5)


def test_a_cell_moves_from_where_splitting_stands():
    rim, p = RIM(Noting(), SplittingEvidence(strength=1.0), Affine()), problem()
    x0 = torch.zeros_like(p.y)
    state = rim.step(p, rim.init(p, x0))
    mu = (p.likelihood.std / 0.15).square().reshape(-1, 1, 1, 1)
    colors = 0.1 * torch.arange(3).reshape(1, 3, 1, 1)
    torch.testing.assert_close(state.x, p.y / (1 + mu) + colors)


def test_lost_entries_say_nothing():
    y = uniform(1, 3, 8, 8)
    y[..., 2, 3] = 0.0
    p = Fidelity(Identity(), SaltAndPepper(0.5), y)
    evidence, x = PreconditionedEvidence(), uniform(1, 3, 8, 8, seed=9)
    seen = evidence.look(p, evidence.start(p, x)[1], x, Affine(), 0).features
    assert (seen[:, 3:12, 2, 3] == 0).all()
    assert (seen[:, 9:12].mean() - 63 / 64).abs() < 1e-9


def test_uneven_noise_is_told_as_a_map():
    y = torch.full((1, 3, 40, 8), 0.04, dtype=torch.float64)
    y[..., 20:, :] = 0.64
    p = Fidelity(Identity(), Poisson(1000.0), y)
    evidence = PreconditionedEvidence()
    level = evidence.look(p, evidence.start(p, y)[1], y, Affine(), 0).features[:, 12]
    torch.testing.assert_close(level[0, 0], level.new_full((8,), (0.041 / 1000) ** 0.5))
    torch.testing.assert_close(level[0, -1], level.new_full((8,), (0.641 / 1000) ** 0.5))


def test_a_nonlinear_operator_is_refused():
    class Squared(Operator):
        def forward(self, x):
            return x**2

        def initial(self, y):
            return y

    p = Fidelity(Squared(), Gaussian(0.1), uniform(1, 3, 4, 4))
    for evidence in (PreconditionedEvidence(), SplittingEvidence()):
        with pytest.raises(ValueError, match="needs a linear operator, got Squared"):
            evidence.start(p, p.y)


@pytest.mark.parametrize("kind", [PreconditionedEvidence, SplittingEvidence])
@pytest.mark.parametrize("boundary", ["periodic", "replicate"])
def test_in_the_end_no_entry_is_missed_by_more_than_the_noise_allows(boundary, kind):
    x = uniform(1, 3, 12, 9, seed=5)
    blur, evidence = Blur(KERNEL, boundary), kind(inner=60)
    cases = ((Identity(), 0.1), (Mask(uniform(12, 9) > 0.5), 0.1), (blur, 0.5))
    for operator, part in cases:
        p = Fidelity(operator, Gaussian(0.005), operator(uniform(1, 3, 12, 9, seed=6)))
        known = evidence.start(p, x)[1]
        before = (operator(x) - p.y).abs()
        moved = evidence.finish(p, known, x)
        after = (operator(moved) - p.y).abs()
        assert before.max() > 0.1
        assert after.max() < part * before.max()
        truth = evidence.finish(p, known, uniform(1, 3, 12, 9, seed=6))
        torch.testing.assert_close(truth, uniform(1, 3, 12, 9, seed=6))

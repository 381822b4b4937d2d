"""One small instance of everything that the laws must hold for; float64, odd and even sizes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from undegrade.bilevel.hypergradient import Implicit, Unrolled
from undegrade.bilevel.lower_level import LowerLevel
from undegrade.bilevel.maid import MAID, BarzilaiBorwein
from undegrade.bilevel.optimality import ProximalStep
from undegrade.bilevel.problem import Bilevel
from undegrade.bilevel.warm_started import WarmStarted
from undegrade.core.functional import Functional
from undegrade.core.likelihood import Likelihood, NoiseModel
from undegrade.core.objective import Fidelity, Objective
from undegrade.core.operator import LinearOperator, Operator
from undegrade.core.reparametrized import Reparametrized
from undegrade.core.solver import Solver
from undegrade.core.stopping import until
from undegrade.kernels.negative_log_evidence import NegativeLogEvidence
from undegrade.learned.rim import RIM
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.laplace import Laplace
from undegrade.likelihoods.poisson import Poisson
from undegrade.likelihoods.rounded import Rounded
from undegrade.likelihoods.salt_and_pepper import SaltAndPepper
from undegrade.likelihoods.saturated import Saturated
from undegrade.likelihoods.sensor import Sensor
from undegrade.linear_algebra.least_squares import LeastSquares
from undegrade.machines.architecture import ARCHITECTURES, Architecture
from undegrade.networks.gated_cell import GatedSettings
from undegrade.networks.multiscale_cell import MultiscaleSettings
from undegrade.networks.random_projector import RandomProjector
from undegrade.networks.residual_cell import ResidualSettings
from undegrade.networks.skip import SkipNetwork
from undegrade.operators.bicubic import BicubicDownsample
from undegrade.operators.block_transform import BlockTransform
from undegrade.operators.blur import Blur
from undegrade.operators.dense import Dense
from undegrade.operators.downsampling import Downsample
from undegrade.operators.equal_channels import FirstChannel, Repeated
from undegrade.operators.function import Function
from undegrade.operators.identity import Identity
from undegrade.operators.low_resolution import LowResolution
from undegrade.operators.mask import Mask
from undegrade.operators.physics import LinearPhysics, from_physics
from undegrade.operators.response import Response
from undegrade.operators.response_curves import SRGB, Gamma, Logarithm, Table
from undegrade.operators.sensing import Sensing
from undegrade.operators.turn import Turn
from undegrade.operators.views import View, Views
from undegrade.parametrizations.simplex import Simplex
from undegrade.priors.box import Box
from undegrade.priors.contrast import Contrast
from undegrade.priors.elastic_net import ElasticNet
from undegrade.priors.fields_of_experts import FieldsOfExperts, dct_filters
from undegrade.priors.finite_difference import FiniteDifference
from undegrade.priors.group_norm import GroupNorm
from undegrade.priors.lp_norm import LpNorm, SmoothedLpNorm
from undegrade.priors.proximity import Proximity
from undegrade.priors.sobolev import Sobolev
from undegrade.priors.tikhonov import Tikhonov
from undegrade.priors.total_variation import SmoothedTotalVariation, TotalVariation
from undegrade.solvers.active_set import ActiveSet, inverse_hessian
from undegrade.solvers.conjugate_gradient import ConjugateGradient
from undegrade.solvers.dualized import Dualized, Stack
from undegrade.solvers.gradient_descent import GradientDescent
from undegrade.solvers.lbfgs import LBFGS
from undegrade.solvers.levenberg_marquardt import LevenbergMarquardt
from undegrade.solvers.preconditioned_primal_dual import PreconditionedPrimalDual
from undegrade.solvers.primal_dual import PrimalDual
from undegrade.solvers.proximal_gradient import ProximalGradient
from undegrade.untrained.averaged import Averaged
from undegrade.untrained.deep_image_prior import DeepImagePrior
from undegrade.untrained.difference_of_squares import FactorDescent, HyperbolicMirror
from undegrade.untrained.double_overparametrization import DoubleOverparametrization
from undegrade.untrained.drawing import Drawing
from undegrade.untrained.low_rank_plus_sparse import LowRankPlusSparse
from undegrade.untrained.update_rule import Adam, SteepestDescent


def uniform(*shape: int, seed: int = 0) -> Tensor:
    """Numbers in [0, 1), always the same."""
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class OperatorCase:
    """An operator with the shape of the images that it takes."""

    operator: Operator
    shape: tuple[int, int, int, int] = (2, 3, 8, 7)

    def image(self, seed: int = 1) -> Tensor:
        return uniform(*self.shape, seed=seed)


@dataclass(frozen=True)
class LikelihoodCase:
    """A likelihood whose measurements of predictions in [0, 1] are drawn by itself."""

    likelihood: NoiseModel
    shape: tuple[int, int, int, int] = (2, 3, 5, 6)

    def prediction(self, seed: int = 2) -> Tensor:
        return 0.05 + 0.9 * uniform(*self.shape, seed=seed)

    def measured(self, seed: int = 3) -> Tensor:
        """y ~ p(y | prediction)."""
        return self.likelihood.sample(self.prediction(), torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class FunctionalCase:
    """How to make a functional for some rows of a batch of two; where images for it lie."""

    make: Callable[[slice], Functional]
    shape: tuple[int, ...] = (2, 3, 5, 6)
    low: float = -1.0
    high: float = 1.5

    @property
    def functional(self) -> Functional:
        return self.make(slice(None))

    def image(self, seed: int = 9) -> Tensor:
        return self.low + (self.high - self.low) * uniform(*self.shape, seed=seed)


@dataclass(frozen=True)
class BilevelCase:
    """How to make a bilevel problem for some rows of a batch of two, and an upper variable."""

    make: Callable[[slice], Bilevel]
    shape: tuple[int, ...]

    @property
    def problem(self) -> Bilevel:
        return self.make(slice(None))

    @property
    def theta(self) -> Tensor:
        """Positive and, like a kernel, of sum 1."""
        return _psf(*self.shape)


@dataclass(frozen=True)
class SolverCase:
    """A solver, and ½‖Ax − y‖²/std² + λ/2·‖∇x‖² in the form that it takes.

    The problem is made for some rows of a batch of two, of which the second is the harder one.
    """

    solver: Solver[Any, Any]
    problem: Callable[[Operator, float, Tensor, Tensor], Objective[Any, Any]]
    tolerance: float
    iterations: int = 3000
    std: float = 0.1
    single: float = 1e-7  # tolerance in float32

    def operator(self, rows: slice) -> LinearOperator:
        return Blur(_psf(2, 1, 3, 5)[rows], "periodic")

    def weight(self, rows: slice) -> Tensor:
        return torch.tensor([50.0, 2.0], dtype=torch.float64)[rows]

    def measured(self, rows: slice) -> Tensor:
        return uniform(2, 1, 5, 6, seed=7)[rows]

    def quadratic(self, rows: slice = slice(None), y: Tensor | None = None) -> Objective[Any, Any]:
        y = self.measured(rows) if y is None else y
        return self.problem(self.operator(rows), self.std, y, self.weight(rows))

    def start(self, rows: slice = slice(None)) -> Tensor:
        return uniform(2, 1, 5, 6, seed=8)[rows]


class Squares:
    """What DeepInverse calls a physics: non-linear."""

    def A(self, x: Tensor) -> Tensor:
        return x**2 + x


class Denoising:
    """A linear physics that knows itself as U diag(mask) Vᵀ, as deepinv's denoising does."""

    mask = torch.tensor(1.0)

    def A(self, x: Tensor) -> Tensor:
        return x

    def A_adjoint(self, y: Tensor) -> Tensor:
        return y

    def V(self, x: Tensor) -> Tensor:
        return x

    def V_adjoint(self, x: Tensor) -> Tensor:
        return x


class Shaken(Denoising):
    """The same of a periodic blur, its basis that of the Fourier transform in real numbers."""

    def __init__(self, psf: Tensor, size: tuple[int, int]) -> None:
        self.blur, self.size = Blur(psf, "periodic"), size
        point = torch.zeros(1, 1, *size, dtype=psf.dtype)
        point[..., 0, 0] = 1
        self.mask = torch.fft.rfft2(self.blur(point)).abs()[..., None]

    def A(self, x: Tensor) -> Tensor:
        return self.blur(x)

    def A_adjoint(self, y: Tensor) -> Tensor:
        return self.blur.adjoint(y)

    def V(self, x: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.view_as_complex(x), s=self.size, norm="ortho")

    def V_adjoint(self, x: Tensor) -> Tensor:
        return torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))


class Doubled:
    """What DeepInverse calls a linear physics: twice the image, shifted."""

    def A(self, x: Tensor) -> Tensor:
        return 2 * x.roll(1, -1)

    def A_adjoint(self, y: Tensor) -> Tensor:
        return 2 * y.roll(-1, -1)


def _psf(*shape: int) -> Tensor:
    psf = uniform(*shape, seed=4)
    return psf / psf.sum((-2, -1), keepdim=True)


OPERATORS: dict[str, OperatorCase] = {
    "identity": OperatorCase(Identity()),
    "turn": OperatorCase(Turn(rows=True, columns=True)),
    "turn on its side": OperatorCase(Turn(rows=True, transposed=True)),
    "blur periodic": OperatorCase(Blur(_psf(3, 5), "periodic")),
    "blur replicate": OperatorCase(Blur(_psf(3, 5), "replicate")),
    "blur reflect per channel": OperatorCase(Blur(_psf(3, 5, 3), "reflect")),
    "blur symmetric": OperatorCase(Blur(_psf(5, 3), "symmetric")),
    "blur zero per image": OperatorCase(Blur(_psf(2, 1, 3, 3), "zero")),
    "blur valid per image and channel": OperatorCase(Blur(_psf(2, 3, 3, 5), "valid")),
    "large blur periodic": OperatorCase(Blur(_psf(9, 11), "periodic"), (2, 1, 12, 11)),
    "large blur replicate": OperatorCase(Blur(_psf(2, 3, 9, 11), "replicate"), (2, 3, 12, 11)),
    "large blur reflect": OperatorCase(Blur(_psf(9, 11), "reflect"), (2, 1, 11, 12)),
    "large blur zero": OperatorCase(Blur(_psf(11, 9), "zero"), (2, 1, 11, 12)),
    "large blur valid": OperatorCase(Blur(_psf(3, 9, 11), "valid"), (2, 3, 13, 12)),
    "mask": OperatorCase(Mask(uniform(8, 7) > 0.4)),
    "mask per image and channel": OperatorCase(Mask(uniform(2, 3, 8, 7) > 0.4)),
    "downsample 2": OperatorCase(Downsample(2), (2, 3, 8, 6)),
    "downsample 3": OperatorCase(Downsample(3), (2, 1, 9, 6)),
    "downsample 4": OperatorCase(Downsample(4), (2, 1, 8, 12)),
    "bicubic 2": OperatorCase(BicubicDownsample(2), (2, 3, 8, 6)),
    "bicubic 3": OperatorCase(BicubicDownsample(3), (2, 1, 9, 6)),
    "bicubic 4": OperatorCase(BicubicDownsample(4), (2, 1, 8, 12)),
    "equal channels": OperatorCase(Repeated(3), (2, 1, 4, 5)),
    "the first channel": OperatorCase(FirstChannel(3), (2, 3, 4, 5)),
    "one of three equal channels": OperatorCase(
        FirstChannel(3) @ Blur(_psf(3, 3), "reflect") @ Repeated(3), (2, 1, 6, 5)
    ),
    "dense": OperatorCase(Dense(uniform(9, 7) - 0.3), (2, 1, 1, 7)),
    "sensing": OperatorCase(Sensing(uniform(9, 4, 5) - 0.5), (2, 1, 4, 5)),
    "function": OperatorCase(Function(lambda x: (1 + x).log() + 0.1 * x.roll(1, -1))),
    "function of a blur": OperatorCase(Function(torch.tanh) @ Blur(_psf(3, 3), "reflect")),
    "views of a network": OperatorCase(
        Views(
            lambda x: x[:, :2].tanh() + x[:, 1:].square(),
            (View(), View(zoom=1.4, shift=(3, 5), mirrored=True, power=0.8)),
            lambda y: y[:, :1].expand(-1, 3, -1, -1),
        )
    ),
    "physics": OperatorCase(from_physics(Squares(), start=lambda y: y / 2)),
    "linear physics": OperatorCase(LinearPhysics(Doubled())),
    "decomposed physics": OperatorCase(LinearPhysics(Shaken(_psf(3, 5), (8, 7)))),
    "low resolution in closed form 2": OperatorCase(LowResolution(_psf(3, 5), 2), (2, 3, 8, 6)),
    "low resolution in closed form 3": OperatorCase(
        LowResolution(_psf(2, 3, 5, 3), 3), (2, 3, 9, 12)
    ),
    "low resolution": OperatorCase(Downsample(2) @ Blur(_psf(3, 3), "replicate"), (2, 3, 8, 6)),
    "response gamma": OperatorCase(Response(Gamma(2.2))),
    "response of a blur": OperatorCase(Response(SRGB()) @ Blur(_psf(3, 3), "replicate")),
    "logarithmic response": OperatorCase(Response(Logarithm())),
    "measured response": OperatorCase(Response(Table((0.0, 0.3, 1.0), (0.1, 0.6, 0.9)))),
    "inverse response": OperatorCase(Response(Gamma(2.2)).inverse),
    "blur in linear light": OperatorCase(
        Response(SRGB()) @ Blur(_psf(3, 3), "periodic") @ Response(SRGB()).inverse
    ),
    "block transform": OperatorCase(BlockTransform((1, 8, 16)), (2, 1, 8, 16)),
    "block transform of colors": OperatorCase(BlockTransform((3, 9, 17), 2), (2, 3, 9, 17)),
    "blur and gradient": OperatorCase(
        Stack(
            Blur(_psf(3, 3), "zero"),
            FiniteDifference(),
            (torch.Size((3, 6, 7)), torch.Size((3, 2, 6, 7))),
            torch.tensor([2.0], dtype=torch.float64),
        ),
        (2, 3, 6, 7),
    ),
}

LINEAR_OPERATORS: dict[str, LinearOperator] = {
    name: case.operator
    for name, case in OPERATORS.items()
    if isinstance(case.operator, LinearOperator)
}

LIKELIHOODS: dict[str, LikelihoodCase] = {
    "gaussian": LikelihoodCase(Gaussian(0.1)),
    "gaussian per sample": LikelihoodCase(Gaussian(torch.tensor([0.05, 0.2]))),
    "gaussian per entry": LikelihoodCase(Gaussian(0.05 + 0.2 * uniform(2, 3, 5, 6))),
    "laplace": LikelihoodCase(Laplace(0.1)),
    "laplace per sample": LikelihoodCase(Laplace(torch.tensor([0.05, 0.2]))),
    "poisson": LikelihoodCase(Poisson(30.0)),
    "poisson in the dark": LikelihoodCase(Poisson(torch.tensor([3.0, 9.0]))),
    "salt and pepper": LikelihoodCase(SaltAndPepper(0.3, std=0.05)),
    "sensor": LikelihoodCase(Sensor(0.02, 0.05)),
    "sensor per sample": LikelihoodCase(
        Sensor(torch.tensor([0.05, 0.01]), torch.tensor([0.02, 0.1]))
    ),
    "saturated": LikelihoodCase(Saturated(Gaussian(0.02), 0.9)),
    "saturated sensor": LikelihoodCase(Saturated(Sensor(0.001, 0.01), 0.95)),
    "rounded": LikelihoodCase(Rounded(0.02, 1 / 31)),
    "rounded in steps of its own": LikelihoodCase(
        Rounded(0.05, 0.02 + 0.1 * uniform(2, 3, 5, 6), clipped=False)
    ),
    "salt and pepper per sample": LikelihoodCase(
        SaltAndPepper(torch.tensor([0.1, 0.7]), std=torch.tensor([0.05, 0.1]))
    ),
}


def _same(functional: Functional, *shape: int, low: float = -1.0) -> FunctionalCase:
    """A functional without numbers per image."""
    return FunctionalCase(lambda _: functional, shape or (2, 3, 5, 6), low)


def _pair(rows: slice) -> Dualized:
    y = uniform(2, 3, 5, 6)[rows]
    fidelity = Fidelity(Blur(_psf(3, 3), "replicate"), Gaussian(0.2), y)
    return Dualized(fidelity, TotalVariation("isotropic", 0.1), uniform(2)[rows] + 0.5, y)


def _learned(rows: slice) -> Functional:
    """Parameters of every kind: a kernel, and a weight."""
    blur = Blur(nn.Parameter(_psf(3, 3)), "reflect")
    fidelity = Fidelity(blur, Gaussian(0.2), uniform(2, 1, 6, 5)[rows])
    return Objective(fidelity, SmoothedTotalVariation("isotropic"), nn.Parameter(uniform(1)))


def _experts(exponents: list[float] | None = None) -> FieldsOfExperts:
    """Filters that do not have mean zero by themselves, and every number a parameter."""
    filters = dct_filters(3, 4).double() + 0.2 * uniform(4, 3, 3)
    smoothing = torch.tensor(-3.0, dtype=torch.float64)
    numbers = [filters, uniform(4, seed=1) - 1, smoothing]
    if exponents is not None:
        numbers.append(torch.tensor(exponents, dtype=torch.float64))
    return FieldsOfExperts(*map(nn.Parameter, numbers))


FUNCTIONALS: dict[str, FunctionalCase] = {
    "evidence of kernels": FunctionalCase(
        lambda r: NegativeLogEvidence(
            uniform(2, 1, 40, 44)[r].cumsum(-1), uniform(2, seed=4)[r], (1, 3, 5)
        ),
        (2, 1, 3, 5),
        low=0.1,
    ),
    "kernels of sum 1": FunctionalCase(
        lambda r: Reparametrized(Sobolev(_psf(2, 1, 3, 5)[r]), Simplex()), (2, 1, 3, 5), low=0.2
    ),
    "box": _same(Box(0.2, 0.7), low=0.3),
    "positive": _same(Box(0.0, math.inf), 2, 1, 4, 5, low=0.1),
    "tikhonov": _same(Tikhonov()),
    "tikhonov of the gradient": _same(Tikhonov(FiniteDifference()), 2, 1, 4, 7),
    "sum of absolute values": _same(LpNorm(1, 1)),
    "squared sum of absolute values": _same(LpNorm(1, 2), 2, 1, 3, 4),
    "length": _same(LpNorm(2, 1)),
    "squared length": _same(LpNorm(2, 2)),
    "elastic net": _same(ElasticNet(0.25)),
    "sobolev": _same(Sobolev(), 2, 1, 3, 5),
    "sobolev about a kernel": FunctionalCase(
        lambda rows: Sobolev(uniform(2, 3, 5, 3)[rows]), (2, 3, 5, 3)
    ),
    "fields of experts": _same(_experts(), 2, 3, 5, 6),
    "experts that flatten": _same(_experts([1.0, 0.4, 0.0, -0.7]), 2, 1, 5, 6),
    "experts at another contrast": FunctionalCase(
        lambda rows: Contrast(_experts(), uniform(2, seed=3)[rows] + 0.5), (2, 1, 5, 6)
    ),
    "smoothed sum of absolute values": _same(SmoothedLpNorm(1.0, 1.0, 1e-2)),
    "smoothed power": _same(SmoothedLpNorm(1.5, 3.0, 1e-2), 2, 1, 3, 4),
    "total variation": _same(TotalVariation()),
    "total variation of a signal": _same(TotalVariation("anisotropic"), 2, 1, 1, 9),
    "total variation per channel": _same(TotalVariation("isotropic"), 2, 3, 4, 4),
    "proximity": FunctionalCase(lambda rows: Proximity(uniform(2, 3, 5, 6)[rows], 0.3)),
    "huber total variation": _same(TotalVariation("vectorial", 0.1)),
    "root total variation": _same(SmoothedTotalVariation("vectorial", 1e-2)),
    "group norm": _same(GroupNorm("vectorial"), 2, 3, 2, 3, 4),
    "huber group norm": _same(GroupNorm("isotropic", 0.3), 2, 1, 2, 3, 5),
    "least squares of a blur": FunctionalCase(
        lambda rows: LeastSquares(
            Blur(_psf(3, 3), "periodic"), uniform(2, 1, 5, 6)[rows], uniform(2)[rows] + 0.1
        ),
        (2, 1, 5, 6),
    ),
    "weighted squares": FunctionalCase(
        lambda rows: LeastSquares(
            Mask(uniform(5, 6) + 0.1),
            uniform(2, 3, 5, 6)[rows],
            0.3 + uniform(2, 3, 5, 6, seed=1)[rows],
        )
    ),
    "fidelity of a map of deviations": FunctionalCase(
        lambda rows: Fidelity(
            Blur(_psf(2, 1, 3, 3)[rows], "valid"),
            Gaussian(0.3 + uniform(2, 3, 3, 4, seed=1)[rows]),
            uniform(2, 3, 3, 4)[rows],
        )
    ),
    "fidelity of a blur": FunctionalCase(
        lambda rows: Fidelity(
            Blur(_psf(2, 1, 3, 3)[rows], "replicate"), Laplace(0.3), uniform(2, 3, 5, 6)[rows]
        )
    ),
    "fidelity of counts": FunctionalCase(
        lambda rows: Fidelity(Downsample(2), Poisson(9.0), uniform(2, 1, 2, 3)[rows]),
        (2, 1, 4, 6),
        low=0.2,
    ),
    "separable sum": FunctionalCase(lambda rows: _pair(rows).outer, (2, 3 * 5 * 6 * 3)),
    "both terms dual": FunctionalCase(lambda rows: _pair(rows)),
    "objective": FunctionalCase(
        lambda rows: Objective(
            Fidelity(Identity(), Gaussian(0.2), uniform(2, 3, 5, 6)[rows]),
            TotalVariation("isotropic", 0.1),
            uniform(2)[rows],
            Box(-2.0, 2.0),
        )
    ),
    "learned objective": FunctionalCase(_learned, (2, 1, 6, 5)),
}


def _smooth(A: Operator, std: float, y: Tensor, weight: Tensor) -> Objective[Any, Any]:
    return Objective(Fidelity(A, Gaussian(std), y), Tikhonov(FiniteDifference()), weight)


def _saddle(A: Operator, std: float, y: Tensor, weight: Tensor) -> Objective[Any, Any]:
    """Huber's function is quadratic up to its δ, and these gradients never come near 10."""
    assert isinstance(A, LinearOperator)
    prior = TotalVariation("isotropic", smoothing=10.0)
    return Objective(LeastSquares(A, y, std), prior, 10 * weight)


def _sparse(A: Operator, std: float, y: Tensor, weight: Tensor) -> Objective[Any, Any]:
    """The prior weighs nothing, but 0 remains a value that no step passes at once."""
    return Objective(_smooth(A, std, y, weight), ElasticNet(1.0), 0.0)


SOLVERS: dict[str, SolverCase] = {
    "active set": SolverCase(ActiveSet(), _sparse, 1e-9, single=1e-5),
    "gradient descent": SolverCase(GradientDescent(), _smooth, 1e-13),
    "monotone gradient descent": SolverCase(GradientDescent(memory=0.0), _smooth, 1e-13),
    "l-bfgs": SolverCase(LBFGS(), _smooth, 1e-12),
    "l-bfgs with a long memory": SolverCase(LBFGS(memory=9), _smooth, 1e-12),
    "levenberg-marquardt": SolverCase(LevenbergMarquardt(cg_iterations=5), _smooth, 1e-14),
    "proximal gradient": SolverCase(ProximalGradient(), _smooth, 1e-9),
    "conjugate gradient": SolverCase(ConjugateGradient(), _smooth, 1e-9),
    "preconditioned primal-dual": SolverCase(
        PreconditionedPrimalDual(ratio=3.0), _saddle, 1e-9, single=3e-6
    ),
    "primal-dual": SolverCase(PrimalDual(ratio=10.0), _saddle, 1e-9),
}


SMOOTH = {name: case for name, case in SOLVERS.items() if case.problem is _smooth}


def _untrained(architecture: Architecture) -> RIM:
    """A machine whose weights do something, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rim = architecture.build().double()
        for p in rim.parameters():
            torch.nn.init.normal_(p, std=0.1)
        return rim.eval().requires_grad_(False)


SMALL = {
    "universal": MultiscaleSettings(widths=(4, 6), middle=1),
    "denoising": MultiscaleSettings(widths=(4, 6), middle=1),
    "gauss-newton": MultiscaleSettings(widths=(4, 6), middle=1),
    "residual": ResidualSettings(width=4, blocks=1, state_width=3, state_blocks=1),
    "gated": GatedSettings(width=4, state_width=5),
}
LEARNED: dict[str, RIM] = {
    name: _untrained(replace(ARCHITECTURES[name], cell=cell)) for name, cell in SMALL.items()
}


@dataclass(frozen=True)
class UntrainedCase:
    """A solver that draws its own start, with a problem for some rows of a batch of two."""

    solver: Solver[Any, Any]
    operator: Operator
    likelihood: Likelihood
    shape: tuple[int, int, int, int] = (2, 3, 9, 6)

    def measured(self, rows: slice = slice(None)) -> Tensor:
        return self.operator(uniform(*self.shape, seed=11))[rows]

    def problem(self, rows: slice = slice(None), y: Tensor | None = None) -> Fidelity:
        return Fidelity(self.operator, self.likelihood, self.measured(rows) if y is None else y)

    def start(self, rows: slice = slice(None)) -> Tensor:
        return uniform(*self.shape, seed=12)[rows]


def _drawing(jitter: float = 0.03) -> Drawing:
    """A network of two levels that fits into a test, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SkipNetwork(2, 3, widths=(3, 4), skips=(1, 0)).double()
    return Drawing(network=network, channels=2, jitter=jitter)


def _projector() -> Drawing:
    """The same network at fixed weights."""
    network = RandomProjector(_drawing().network, 2, (9, 6)).double()
    return Drawing(network=network, channels=2)


UNTRAINED: dict[str, UntrainedCase] = {
    "deep image prior": UntrainedCase(
        DeepImagePrior(drawing=_drawing()), Blur(_psf(3, 3), "reflect"), Laplace(0.1)
    ),
    "deep image prior by steepest descent": UntrainedCase(
        DeepImagePrior(drawing=_drawing(0.0), update=SteepestDescent(rate=1e-3, decay=0.99)),
        Identity(),
        Gaussian(1.0),
    ),
    "deep random projector": UntrainedCase(
        DeepImagePrior(drawing=_projector(), update=Adam(rate=0.03)), Identity(), Gaussian(1.0)
    ),
    "double over-parameterization": UntrainedCase(
        DoubleOverparametrization(drawing=_drawing(), sparse=HyperbolicMirror(rate=0.3)),
        Blur(_psf(3, 3), "valid"),
        Gaussian(1.0),
    ),
    "double over-parameterization as published": UntrainedCase(
        DoubleOverparametrization(
            drawing=_drawing(0.0),
            update=SteepestDescent(rate=1e-2),
            sparse=FactorDescent(rate=0.3, scale=1e-2),
        ),
        Identity(),
        Gaussian(1.0),
    ),
    "average of a deep image prior": UntrainedCase(
        Averaged(solver=DeepImagePrior(drawing=_drawing()), decay=0.9), Identity(), Gaussian(0.1)
    ),
    "low rank plus sparse": UntrainedCase(
        LowRankPlusSparse(discrepancy=2.0, scale=1e-3), Identity(), Gaussian(1.0), (2, 1, 6, 6)
    ),
    "low rank plus sparse from inner products": UntrainedCase(
        LowRankPlusSparse(discrepancy=2.0, scale=1e-3),
        Sensing(uniform(20, 5, 5, seed=13) - 0.5),
        Gaussian(1.0),
        (2, 1, 5, 5),
    ),
}


def _kernel_learned(rows: slice) -> Bilevel:
    """The kernel of smoothed total variation deblurring, judged by another kernel."""
    y = uniform(2, 1, 5, 6)[rows]

    def objective(theta: Tensor) -> Objective[Any, Any]:
        data = Fidelity(Blur(theta, "replicate"), Gaussian(0.7), y)
        small = Objective(SmoothedTotalVariation(epsilon=0.1), Tikhonov(), 0.5)
        return Objective(data, small, torch.tensor([0.2, 0.1], dtype=y.dtype)[rows])

    lower = LowerLevel(
        objective=objective,
        solver=GradientDescent(),
        stop=until(iterations=2000, residual=1e-16),
        start=y,
    )
    upper = Fidelity(Blur(_psf(3, 3), "replicate"), Gaussian(0.1), y)
    return Bilevel(upper, lower, Implicit(tolerance=1e-9))


def _unrolled_kernel(rows: slice) -> Bilevel:
    """Four conjugate gradient iterations of a quadratic problem, far from converged."""
    y = uniform(2, 1, 5, 6)[rows]

    def objective(theta: Tensor) -> Objective[Any, Any]:
        data = Fidelity(Blur(theta, "reflect"), Gaussian(0.3), y)
        return Objective(data, Tikhonov(FiniteDifference()), 0.1)

    lower = LowerLevel(
        objective=objective, solver=ConjugateGradient(), stop=until(iterations=9), start=y
    )
    return Bilevel(Fidelity(Identity(), Gaussian(0.1), 0.5 * y), lower, Unrolled(steps=4))


def _matrix_learned(rows: slice) -> Bilevel:
    """The matrix of a sparse problem, and the weight of its prior, which is the last row."""
    y = 3 * uniform(2, 1, 1, 7)[rows]

    def objective(theta: Tensor) -> Objective[Any, Any]:
        data = Fidelity(LinearPhysics(_MatrixOfEach(theta[:, :7])), Gaussian(1.0), y)
        return Objective(data, ElasticNet(0.3), theta[:, 7, 0] * 8)

    lower = LowerLevel(
        objective=objective,
        solver=ActiveSet(),
        stop=until(iterations=50, residual=1e-13),
        start=torch.zeros_like(y),
        optimality=ProximalStep(0.7),
        precondition=inverse_hessian,
    )
    return Bilevel(Fidelity(Identity(), Gaussian(0.5), 0.4 * y), lower, Implicit(tolerance=1e-9))


class _MatrixOfEach:
    """A matrix per sample, along the rows."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = 20 * matrix

    def A(self, x: Tensor) -> Tensor:
        return torch.einsum("bij,bchj->bchi", self.matrix, x)

    def A_adjoint(self, y: Tensor) -> Tensor:
        return torch.einsum("bij,bchi->bchj", self.matrix, y)


BILEVEL: dict[str, BilevelCase] = {
    "kernel": BilevelCase(_kernel_learned, (2, 1, 3, 3)),
    "kernel unrolled": BilevelCase(_unrolled_kernel, (2, 1, 3, 3)),
    "matrix and weight": BilevelCase(_matrix_learned, (2, 8, 7)),
}

WARM_STARTED: dict[str, WarmStarted] = {
    "quasi-Newton": WarmStarted(LBFGS(memory=4)),
    "gradient descent": WarmStarted(GradientDescent()),
}
BILEVEL_SOLVERS: dict[str, MAID] = {
    "maid": MAID(step_size=1e-2),
    "accelerated": MAID(step_size=1e-2, steps=BarzilaiBorwein(), memory=0.85),
}

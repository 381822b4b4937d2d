"""Our adapters against deepinv itself; `make interop` provides it."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import undegrade as ud
from undegrade.core.image import dot
from undegrade.core.operator import LinearOperator
from undegrade.operators.function import Function
from undegrade.operators.physics import from_physics
from undegrade.restorers.deepinverse import Reconstruction

deepinv = pytest.importorskip("deepinv", reason="needs deepinv: run `make interop`")
pytestmark = pytest.mark.filterwarnings("ignore")  # deepinv's own


SIZE = (3, 16, 18)


def random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def kernel() -> Tensor:
    return random(1, 1, 5, 5) / random(1, 1, 5, 5).sum()


LINEAR = {
    "blur": lambda p: p.Blur(filter=kernel(), padding="replicate"),
    "circular": lambda p: p.BlurFFT(img_size=SIZE, filter=kernel()),
    "mask": lambda p: p.Inpainting(img_size=SIZE, mask=(random(1, 1, 16, 18) > 0.4).float()),
    "low resolution": lambda p: p.Downsampling(img_size=SIZE, factor=2, filter="gaussian"),
}


def image(seed: int = 1) -> Tensor:
    return torch.rand(2, 3, 16, 18, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("make", LINEAR.values(), ids=LINEAR.keys())
def test_linear_physics_is_a_linear_operator(make):
    physics = make(deepinv.physics)
    A, x = from_physics(physics), image()
    assert isinstance(A, LinearOperator)
    y = A(x)
    torch.testing.assert_close(y, physics.A(x))
    v = torch.rand_like(y)
    torch.testing.assert_close(dot(y, v), dot(x, A.adjoint(v)), rtol=1e-4, atol=1e-3)
    assert A.initial(y).shape == x.shape


def test_physics_without_adjoint_is_differentiated():
    physics = deepinv.physics.Physics(A=lambda x, **_: x**2 + 0.5 * x)
    A, x, u = from_physics(physics), image(), image(2)
    assert isinstance(A, Function)
    jacobian = A.linearize(x)[1]
    torch.testing.assert_close(jacobian(u), (2 * x + 0.5) * u)
    torch.testing.assert_close(jacobian.adjoint(u), (2 * x + 0.5) * u)


@dataclass(frozen=True)
class Start:
    x: Tensor
    residual: Tensor


@dataclass(frozen=True)
class Recorder:
    """A restorer that hands back what it was given."""

    seen: list[ud.Measurement]

    def restore(self, measurement: ud.Measurement, *, observe=()) -> ud.Result:
        del observe
        self.seen.append(measurement)
        x = measurement.operator.initial(measurement.y)
        state = Start(x, x.new_zeros(len(x)))
        return ud.Result(x, (ud.Status.CONVERGED,) * len(x), (0,) * len(x), 0.0, state)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (lambda p: p.GaussianNoise(0.07), ud.Gaussian(0.07)),
        (lambda p: p.LaplaceNoise(0.03), ud.Laplace(0.03)),
        (lambda p: p.PoissonNoise(0.05), ud.Poisson(20.0)),
        (lambda p: p.SaltPepperNoise(0.1, 0.1), ud.SaltAndPepper(0.2)),
    ],
    ids=["gaussian", "laplace", "poisson", "salt and pepper"],
)
def test_noise_models_become_likelihoods_of_the_same_samples(noise, expected):
    physics = deepinv.physics.Denoising(noise_model=noise(deepinv.physics))
    x, seen = 0.1 + 0.8 * image(), []
    y = physics(x)
    restored = Reconstruction(Recorder(seen))(y, physics)
    assert restored.shape == x.shape
    torch.testing.assert_close(seen[0].likelihood(x, y), expected(x, y), rtol=1e-4, atol=1e-4)


def test_noise_of_another_kind_is_refused():
    physics = deepinv.physics.Denoising(noise_model=deepinv.physics.UniformNoise(0.1))
    with pytest.raises(ValueError, match="UniformNoise"):
        Reconstruction(Recorder([]))(image(), physics)


def test_our_blur_and_theirs_agree():
    """Both convolve (flip the kernel); borders replicated."""
    psf = random(1, 1, 5, 7)
    theirs = deepinv.physics.Blur(filter=psf, padding="replicate", use_fft=False)
    ours = ud.Blur(psf[0, 0], boundary="replicate")
    torch.testing.assert_close(ours(image()), theirs.A(image()), rtol=1e-4, atol=1e-4)


def test_variational_restores_through_deepinv():
    """End to end: a quarter of the squared error is left on a smooth picture."""
    grid = torch.linspace(0, 1, 48)
    x = (0.5 + 0.4 * torch.sin(5 * grid[:, None] + 3 * grid)).expand(1, 1, 48, 48)
    physics = deepinv.physics.Denoising(noise_model=deepinv.physics.GaussianNoise(0.1))
    y = physics(x)
    restored = Reconstruction(ud.Variational())(y, physics)
    assert (restored - x).square().mean() < 0.25 * (y - x).square().mean()

"""Wrong use gets a sentence, as a person meets it: without the shape checks of the tests."""

import json
import subprocess
import sys

import pytest
import torch

import undegrade as ud

PICTURE = "y = torch.rand(1, 3, 24, 30); "
RESTORE = "; ud.Variational(weight=9.0, iterations=3).restore(ud.Measurement(y, A, eta))"
SOLVE = PICTURE + (
    "A, eta = ud.Identity(), ud.Gaussian(0.1); "
    "ud.solve(ud.{}(), ud.Objective(ud.{}, ud.{}(), 1.0), y, stop=ud.until(iterations=1))"
)
NAMELESS = """
class Nameless(ud.Likelihood):
    def sample(self, prediction, generator): return prediction
    def forward(self, prediction, y): return (prediction - y).square().flatten(1).sum(1)
    def curvature(self, prediction, y): return torch.ones_like(y)
"""
WRONG = {
    "channels, height, width": (
        "ud.Measurement(torch.rand(3, 24, 30))",
        "(3, 24, 30): y[None] makes it",
    ),
    "height, width, channels": (
        "ud.Measurement(torch.rand(24, 30, 3))",
        "(24, 30, 3): y.permute(2, 0, 1)[None] makes it",
    ),
    "height, width": ("ud.Measurement(torch.rand(24, 30))", "y[None, None]"),
    "channels last": (
        "ud.Measurement(torch.rand(2, 24, 30, 3))",
        "(2, 24, 30, 3): y.permute(0, 3, 1, 2) puts the channels first",
    ),
    "no batch behind a blur": (
        PICTURE + "y, A, eta = y[0], ud.Blur(ud.gaussian_psf(1.0)), ud.Gaussian(0.1)" + RESTORE,
        "(3, 24, 30): y[None] makes it",
    ),
    "no batch in a filter": (
        PICTURE + "ud.Wiener().restore(ud.Measurement(y[0], ud.Identity(), ud.Gaussian(0.1)))",
        "(3, 24, 30): y[None] makes it",
    ),
    "bytes": (PICTURE + "ud.Measurement((255 * y).byte())", "torch.uint8: give y / 255"),
    "half precision": (PICTURE + "ud.Measurement(y.half())", "torch.float16: give y.float()"),
    "an array": (
        PICTURE + "ud.Measurement(y.numpy())",
        "numpy.ndarray: torch.from_numpy(array.copy())",
    ),
    "an array with negative strides": (
        PICTURE + "ud.Measurement(y.numpy()[..., ::-1])",
        "numpy.ndarray: torch.from_numpy(array.copy())",
    ),
    "a list": ("ud.Measurement([[0.5]])", "builtins.list"),
    "nothing": ("ud.Measurement(torch.rand(1, 3, 0, 4))", "at least one entry"),
    "requires grad": (PICTURE + "ud.Measurement(y.requires_grad_())", "give y.detach()"),
    "an operator elsewhere": (
        PICTURE + "ud.Measurement(y, ud.Mask(torch.ones(24, 30)).to('meta'), ud.Gaussian(0.1))",
        "device cpu, its operator on meta: move one of them, as in operator.to(y.device)",
    ),
    "a likelihood elsewhere": (
        PICTURE + "ud.Measurement(y.to('meta'), ud.Identity(), ud.Gaussian(0.1))",
        "device meta, its likelihood on cpu",
    ),
    "a tensor for an operator": (
        PICTURE + "ud.Measurement(y, ud.gaussian_psf(1.0))",
        "takes Operator as its operator, got Tensor; Function makes one",
    ),
    "a number for a likelihood": (
        PICTURE + "ud.Measurement(y, ud.Identity(), 0.1)",
        "takes Likelihood as its likelihood, got float; Gaussian(std) is one",
    ),
    "an array to be scored": (
        PICTURE + "ud.psnr(y.numpy(), y)",
        "a score takes a tensor, got nump",
    ),
    "an array in a blur": (
        PICTURE + "ud.Blur(ud.gaussian_psf(1.0))(y.numpy())",
        "Blur takes a tensor, got numpy.ndarray: torch.from_numpy(array.copy())",
    ),
    "an array in a prior": (
        PICTURE + "ud.TotalVariation()(y.numpy())",
        "TotalVariation takes a tensor, got numpy.ndarray",
    ),
    "an array for a kernel": (
        PICTURE + "ud.Blur(ud.gaussian_psf(1.0).numpy())",
        "Blur takes a tensor, got numpy.ndarray",
    ),
    "an array for a mask": (PICTURE + "ud.Mask(y.numpy())", "Mask takes a tensor, got numpy.nd"),
    "an array for a matrix": (
        PICTURE + "ud.Dense(y[0, 0].numpy())",
        "Dense takes a tensor, got numpy.ndarray",
    ),
    "an array for a start": (
        SOLVE.format("LBFGS", "Fidelity(A, eta, y)", "Tikhonov").replace(
            ", y, stop", ", 0.5, stop"
        ),
        "a start takes a tensor, got builtins.float",
    ),
    "a start of another size": (
        SOLVE.format("LBFGS", "Fidelity(A, eta, y)", "Tikhonov").replace(
            ", y, stop", ", y[..., :9], stop"
        ),
        "the operator makes (1, 3, 24, 9) of it, where (1, 3, 24, 30) was measured",
    ),
    "a start of another size for least squares": (
        SOLVE.format("PrimalDual", "LeastSquares(A, y, 0.1)", "TotalVariation").replace(
            ", y, stop", ", y[..., :9], stop"
        ),
        "the operator makes (1, 3, 24, 9) of it, where (1, 3, 24, 30) was measured",
    ),
    "an array to be written": (
        PICTURE + "ud.write_image('never.png', y.numpy())",
        "an image to be written takes a tensor, got numpy.ndarray",
    ),
    "an array whose noise is asked for": (
        PICTURE + "ud.estimate_noise_std(y.numpy())",
        "numpy.ndarray: torch.from_numpy(array.copy())",
    ),
    "a picture whose noise is asked for": (
        PICTURE + "ud.estimate_noise_std(y[0])",
        "got (3, 24, 30): y[None] makes it",
    ),
    "half precision in a blur": (
        PICTURE + "ud.Blur(ud.gaussian_psf(2.0))(y.half())",
        "single or double precision, got torch.float16: give x.float()",
    ),
    "a mask of another size": (
        PICTURE + "y, A, eta = y, ud.Mask(torch.ones(9, 30)), ud.Gaussian(0.1)" + RESTORE,
        "the mask is for 9×30 pixels, the image has 24×30",
    ),
    "a mask of other channels": (
        PICTURE + "y, A, eta = y, ud.Mask(torch.ones(2, 24, 30)), ud.Gaussian(0.1)" + RESTORE,
        "the mask is for 2 channels, the image has 3",
    ),
    "half a pixel": ("ud.Downsample(2.5)", "a whole number, 1 or more, got 2.5"),
    "complex numbers": (
        PICTURE + "ud.Measurement(y + 0j)",
        "got torch.complex64: a picture is real",
    ),
    "three levels for one picture": (
        PICTURE + "y, A, eta = y, ud.Identity(), ud.Gaussian(torch.tensor([.1, .2, .3]))" + RESTORE,
        "got [0.1, 0.2, 0.3]",
    ),
    **{
        f"a picture for a measurement, {method}": (
            PICTURE + f"ud.{method}.restore(y)",
            "a method restores a Measurement, got Tensor: Measurement(y) has noise of",
        )
        for method in (
            "Automatic()",
            "Variational()",
            "Quadratic()",
            "Wiener()",
            "RichardsonLucy()",
            "RecurrentInference()",
            "UntrainedNetwork()",
            "RobustUntrainedNetwork()",
            "PlugAndPlay()",
            "AnalyticDeepPrior()",
        )
    },
    "noise without a precision": (
        PICTURE + NAMELESS + "A, eta = ud.Identity(), Nameless()" + RESTORE,
        "expected noise with a precision and a proximal map, got Nameless",
    ),
    "a prior without a proximal map": (
        SOLVE.format("ProximalGradient", "Fidelity(A, eta, y)", "TotalVariation"),
        "takes Proximable as its prior, got TotalVariation; LpNorm is one",
    ),
    "a prior that is no composition": (
        SOLVE.format("PrimalDual", "LeastSquares(A, y, 0.1)", "Tikhonov"),
        "PrimalDual takes Composite as its prior, got Tikhonov; TotalVariation is one, LBFGS",
    ),
    "a prior that is no composition, preconditioned": (
        SOLVE.format("PreconditionedPrimalDual", "LeastSquares(A, y, 0.1)", "LpNorm"),
        "Dual takes Composite as its prior, got LpNorm; TotalVariation is one, LBFGS",
    ),
    "a prior that is not sparse": (
        SOLVE.format("ActiveSet", "Fidelity(A, eta, y)", "TotalVariation"),
        "ActiveSet takes Proximable as its prior, got TotalVariation; LpNorm and ElasticNet are",
    ),
    "a fidelity without a proximal map": (
        SOLVE.format("PrimalDual", "Fidelity(A, eta, y)", "TotalVariation"),
        "takes Convex as its fidelity, got Fidelity; LeastSquares is one, `dualize` makes one",
    ),
    "a fidelity that is not quadratic": (
        SOLVE.format("PreconditionedPrimalDual", "Fidelity(A, eta, y)", "TotalVariation"),
        "takes LeastSquares as its fidelity, got Fidelity; for other noise use PrimalDual",
    ),
    "a prior on the low rank": (
        SOLVE.format("LowRankPlusSparse", "Fidelity(A, eta, y)", "LpNorm").replace(
            "Sparse()", "Sparse(discrepancy=2.0)"
        ),
        "takes Fidelity as its problem, got Objective; it has no prior",
    ),
    **{
        f"no objective for {solver}": (
            PICTURE + "f = ud.Fidelity(ud.Identity(), ud.Gaussian(0.1), y); "
            f"ud.solve(ud.{solver}(), f, y, stop=ud.until(iterations=1))",
            f"{solver} solves an Objective(fidelity, prior, weight), got Fidelity",
        )
        for solver in (
            "ActiveSet",
            "ConjugateGradient",
            "GradientDescent",
            "LBFGS",
            "PreconditionedPrimalDual",
            "PrimalDual",
            "ProximalGradient",
        )
    },
}
SCRIPT = """
import json, sys, torch, undegrade as ud
said = {}
for name, code in json.load(sys.stdin).items():
    try:
        exec(code)
        said[name] = "nothing"
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """What a fresh interpreter says to each wrong use."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        input=json.dumps({name: code for name, (code, _) in WRONG.items()}),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(ran.stdout)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_gets_a_sentence(said: dict[str, str], name: str) -> None:
    assert said[name].startswith("ValueError: ")
    assert "\n" not in said[name]
    assert WRONG[name][1] in said[name]


def _scene() -> torch.Tensor:
    x = torch.zeros(1, 3, 64, 72)
    x[..., 16:48, 20:60] = torch.tensor([0.9, 0.5, 0.2]).reshape(1, 3, 1, 1)
    return x


def test_a_picture_alone_has_noise_of_an_unknown_level() -> None:
    y = ud.Gaussian(0.08).sample(_scene(), torch.Generator().manual_seed(0))
    measurement = ud.Measurement(y)
    assert isinstance(measurement.operator, ud.Identity)
    assert isinstance(measurement.likelihood, ud.Gaussian)
    assert measurement.likelihood.std.item() == pytest.approx(0.08, rel=0.1)


def test_lost_pixels_do_not_count_in_the_estimate() -> None:
    draw = torch.Generator().manual_seed(0)
    seen = torch.rand(64, 72, generator=draw) > 0.5
    y = ud.Mask(seen)(ud.Gaussian(0.08).sample(_scene() + 0.1, draw))
    measurement = ud.Measurement(y, ud.Mask(seen))
    assert isinstance(measurement.likelihood, ud.Gaussian)
    assert measurement.likelihood.std.item() == pytest.approx(0.08, rel=0.15)


@pytest.mark.parametrize("method", [ud.Variational(), ud.Quadratic(), ud.Wiener()])
def test_strides_and_precisions_change_nothing(method: ud.Restorer) -> None:
    y = ud.Gaussian(0.05).sample(_scene(), torch.Generator().manual_seed(0))
    kernel, eta = ud.gaussian_psf(1.0), ud.Gaussian(0.05)
    usual = method.restore(ud.Measurement(y, ud.Blur(kernel), eta)).x
    turned = y.mT.contiguous().mT
    assert not turned.is_contiguous()
    strided = method.restore(ud.Measurement(turned, ud.Blur(kernel), eta)).x
    torch.testing.assert_close(strided, usual, atol=1e-4, rtol=0)
    double = method.restore(ud.Measurement(y, ud.Blur(kernel.double()), eta)).x
    assert double.dtype == torch.float32
    torch.testing.assert_close(double, usual, atol=1e-4, rtol=0)

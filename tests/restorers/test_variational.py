"""Total variation restoration as a user calls it, and the weight that it chooses."""

import math

import pytest
import torch
from skimage import data
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import undegrade as ud
from undegrade.estimation.weight import Path, search_minimum, search_root


def picture(side: int = 64) -> Tensor:
    """The face of scikit-image's astronaut, float32."""
    pixels = torch.from_numpy(data.astronaut()[20 : 20 + side, 180 : 180 + side].copy())
    return pixels.permute(2, 0, 1)[None].float() / 255


def measured(A: ud.Operator, eta: ud.Likelihood, x: Tensor, seed: int = 1) -> ud.Measurement:
    return ud.Measurement(eta.sample(A(x), torch.Generator().manual_seed(seed)), A, eta)


def gain(m: ud.Measurement, x: Tensor, restorer: ud.Variational) -> float:
    """How many dB better than the operator's own first estimate."""
    return float(ud.psnr(restorer.restore(m).x, x) - ud.psnr(m.operator.initial(m.y), x))


LOST = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) < 0.5
PROBLEMS = {
    "denoising": (ud.Identity(), ud.Gaussian(0.1), 6.3),
    "photon noise": (ud.Identity(), ud.Poisson(50.0), 5.8),
    "outliers": (ud.Identity(), ud.Laplace(0.07), 5.7),
    "salt and pepper": (ud.Identity(), ud.SaltAndPepper(0.5), 21.0),
    "blur": (ud.Blur(ud.motion_psf(9.0, 30.0), "replicate"), ud.Gaussian(0.01), 2.4),
    "periodic blur": (ud.Blur(ud.gaussian_psf(1.5), "periodic"), ud.Gaussian(0.01), 2.1),
    "valid blur": (ud.Blur(ud.disk_psf(2.0), "valid"), ud.Gaussian(0.01), 2.0),
    "low resolution": (
        ud.Downsample(2) @ ud.Blur(ud.gaussian_psf(1.0), "replicate"),
        ud.Gaussian(0.01),
        0.7,
    ),
    "lost pixels": (ud.Mask((~LOST).float()), ud.Gaussian(0.02), 0.2),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_degradation_gets_better_with_nothing_chosen(name):
    A, eta, least = PROBLEMS[name]
    x = picture()
    assert gain(measured(A, eta, x), x, ud.Variational()) > least


@pytest.mark.parametrize("name", ["denoising", "periodic blur", "low resolution", "photon noise"])
def test_the_chosen_weight_is_nearly_the_best(name):
    A, eta, _ = PROBLEMS[name]
    x = picture()
    m = measured(A, eta, x)
    chosen = ud.Variational().choose_weight(m, A.initial(m.y))
    scores = [
        float(ud.psnr(ud.Variational(weight=float(chosen) * f, tolerance=1e-3).restore(m).x, x))
        for f in (0.4, 0.65, 1.0, 1.6)
    ]
    assert scores[2] > max(scores) - 0.35


def test_the_discrepancy_principle_fits_to_the_noise():
    x = picture()
    m = measured(ud.Identity(), ud.Gaussian(0.1), x)
    result = ud.Variational(rule=ud.Discrepancy(), tolerance=1e-5).restore(m)
    again = ud.Variational(weight=float(result.chosen["weight"]), tolerance=1e-5).restore(m)
    torch.testing.assert_close(result.x, again.x)
    assert float((result.x - m.y).square().mean().sqrt()) == pytest.approx(0.1, rel=0.03)


def test_a_larger_weight_smooths_more():
    x = picture()
    m = measured(ud.Identity(), ud.Gaussian(0.1), x)
    rough, smooth = (ud.Variational(weight=w).restore(m).x for w in (5.0, 20.0))
    tv = ud.TotalVariation()
    assert float(tv(smooth)) < 0.7 * float(tv(rough))


@pytest.mark.parametrize("name", ["denoising", "blur", "outliers"])
def test_a_batch_is_its_members(name):
    A, eta, _ = PROBLEMS[name]
    x = picture(32).double()
    both = torch.cat((x, x.flip(-1).square()))
    m = measured(A, eta, both)
    method = ud.Variational(tolerance=1e-3, rule=ud.UnbiasedRisk(evaluations=5))
    together = method.restore(m)
    for i in range(2):
        alone = method.restore(ud.Measurement(m.y[i : i + 1], A, eta))
        assert alone.status == together.status[i : i + 1]
        torch.testing.assert_close(alone.x, together.x[i : i + 1], rtol=0, atol=1e-4)


def test_a_nonlinear_degradation():
    """A sensor that saturates softly."""
    x = picture()
    A = ud.Function(lambda u: torch.tanh(2 * u), lambda y: torch.atanh(y.clamp(0, 0.99)) / 2)
    m = measured(A, ud.Gaussian(0.02), x)
    assert gain(m, x, ud.Variational()) > 1.5


def test_one_pixel_and_one_row():
    for shape in ((1, 1, 1, 1), (1, 3, 1, 17)):
        y = torch.full(shape, 0.3)
        restored = ud.Variational().restore(ud.Measurement(y, ud.Identity(), ud.Gaussian(0.1)))
        torch.testing.assert_close(restored.x, y, rtol=0, atol=1e-5)


def test_nothing_to_trust_is_survived():
    y = torch.zeros(1, 1, 16, 16)
    result = ud.Variational().restore(ud.Measurement(y, ud.Identity(), ud.SaltAndPepper(0.5)))
    assert bool(result.x.isfinite().all())


def test_the_search_for_a_minimum_is_per_sample():
    best = torch.tensor([0.2, 3.0, 40.0])
    found = search_minimum(lambda w: (w.log() - best.log()).square(), torch.full((3,), 2.0), 20)
    torch.testing.assert_close(found, best, rtol=1e-3, atol=0)


def test_the_search_for_a_root_is_per_sample():
    best = torch.tensor([0.2, 3.0, 40.0])
    found = search_root(lambda w: torch.tanh(w.log() - best.log()), torch.full((3,), 2.0), 12)
    torch.testing.assert_close(found, best, rtol=1e-2, atol=0)


class Counting:
    """Stein's risk, and how many weights it tried."""

    def __init__(self) -> None:
        self.tried = 0

    def choose(self, path: Path, y: Tensor, precision: Tensor, start: Tensor) -> Tensor:
        def counted(data: Tensor):
            predict = path(data)

            def predicted(weight: Tensor) -> Tensor:
                self.tried += data is y
                return predict(weight)

            return predicted

        return ud.UnbiasedRisk().choose(counted, y, precision, start)


@pytest.mark.parametrize(("name", "most"), [("denoising", 3), ("blur", 6)])
def test_the_search_for_the_weight_begins_where_it_usually_ends(name, most):
    A, eta, _ = PROBLEMS[name]
    m, rule = measured(A, eta, picture()), Counting()
    ud.Variational(rule=rule).choose_weight(m, A.initial(m.y))
    assert 3 <= rule.tried <= most


def test_a_rule_is_used_as_an_object_too():
    y = picture(32)
    precision = torch.full_like(y, 100.0)
    chosen = ud.UnbiasedRisk(evaluations=3).choose(
        lambda data: lambda weight: data / (1 + weight.reshape(-1, 1, 1, 1)),
        y,
        precision,
        torch.tensor([0.1]),
    )
    assert math.isfinite(float(chosen)) and float(chosen) > 0


class _NoDouble(TorchDispatchMode):
    """A device without double precision, as Apple's GPUs are; the CPU may have it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        on_cpu = kwargs.get("device") == torch.device("cpu")
        doubled = isinstance(out, torch.Tensor) and out.dtype == torch.float64
        came = any(isinstance(a, torch.Tensor) and a.dtype == torch.float64 for a in args)
        assert on_cpu or came or not doubled, f"{func} made double precision"
        return out


@pytest.mark.parametrize(
    "method",
    [ud.Variational(iterations=3, rule=ud.UnbiasedRisk(evaluations=3)), ud.Quadratic(iterations=3)],
)
def test_a_chosen_weight_asks_for_no_double_precision(method):
    y = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with _NoDouble():
        method.restore(ud.Measurement(y, ud.Blur(torch.full((3, 3), 1 / 9)), ud.Gaussian(0.1)))


def behind(A: ud.Operator, eta: ud.NoiseModel) -> ud.Measurement:
    x = 0.2 + 0.6 * (torch.arange(24) // 6 % 2).float().expand(1, 1, 16, 24)
    return ud.Measurement(eta.sample(A(x), torch.Generator().manual_seed(0)), A, eta)


def test_a_camera_is_solved_by_levenberg_marquardt_the_closer_the_lower():
    A = ud.Response(ud.Gamma(2.2)) @ ud.Blur(ud.gaussian_psf(1.0), "replicate")
    measured = behind(A, ud.Gaussian(0.02))
    tight, usual = ud.Variational(weight=30.0, tolerance=1e-6), ud.Variational(weight=30.0)
    objective = usual.objective(measured, torch.tensor([30.0]))
    ends, loose = tight.restore(measured), usual.restore(measured)
    assert isinstance(loose.state, ud.LevenbergMarquardtState)
    assert ends.iterations[0] > loose.iterations[0]
    assert objective(ends.x) <= objective(loose.x) <= (1 + 1e-4) * objective(ends.x)


@pytest.mark.parametrize(
    ("A", "eta", "quick"),
    [
        (ud.Blur(ud.gaussian_psf(1.0), "replicate"), ud.Poisson(10.0), True),
        (ud.Blur(ud.gaussian_psf(1.0), "replicate"), ud.Saturated(ud.Gaussian(0.02)), True),
        (ud.Blur(ud.gaussian_psf(1.0), "replicate"), ud.Gaussian(0.02), False),
        (ud.BlockTransform((1, 16, 24)), ud.Rounded(0.002, 0.2, clipped=False), False),
        (ud.Identity(), ud.Poisson(10.0), False),
    ],
)
def test_levenberg_marquardt_where_it_was_measured_to_be_quicker(A, eta, quick):
    result = ud.Variational(weight=3.0, iterations=5).restore(behind(A, eta))
    assert isinstance(result.state, ud.LevenbergMarquardtState) == quick

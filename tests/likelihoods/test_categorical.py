"""Labels as measurements: cross-entropy, its derivatives, its majorizer, what it ignores."""

import copy

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.cases import uniform
from undegrade.core.image import dot
from undegrade.core.likelihood import Likelihood
from undegrade.core.measurement import Measurement
from undegrade.likelihoods.categorical import Categorical
from undegrade.operators.function import Function
from undegrade.restorers.initial import first_estimate

WEIGHTS = torch.tensor([1.0, 2.5, 0.0, 0.7])


@pytest.fixture(params=[Categorical(), Categorical(WEIGHTS, 0.1)], ids=["plain", "weighted"])
def likelihood(request: pytest.FixtureRequest) -> Categorical:
    return request.param


def scores(seed: int = 0) -> Tensor:
    return 6 * uniform(2, 4, 5, 6, seed=seed) - 3


def labels() -> Tensor:
    """Every class, and two pixels of none."""
    y = (4 * uniform(2, 1, 5, 6, seed=7)).floor()
    y[0, 0, 0, 0], y[1, 0, 2, 3] = 255, torch.nan
    return y


def test_it_is_the_cross_entropy_of_torch():
    y = labels()
    numbers = torch.where(y[:, 0] < 4, y[:, 0], -100).long()
    expected = functional.cross_entropy(
        scores(), numbers, WEIGHTS.double(), reduction="none", ignore_index=-100
    )
    found = Categorical(WEIGHTS)(scores(), y)
    torch.testing.assert_close(found, expected.flatten(1).sum(1))


def test_value_and_gradient_are_what_autograd_says(likelihood):
    u, y = scores(), labels()
    value, gradient = likelihood.value_and_grad(u, y)
    expected = Likelihood.value_and_grad(likelihood, u, y)
    torch.testing.assert_close((value, gradient), expected)
    assert torch.autograd.gradcheck(lambda u: likelihood(u, y), u.requires_grad_())


def test_the_curvature_majorizes_the_hessian(likelihood):
    u, y = scores(), labels()
    curved = likelihood.curvature(u, y)
    closest = torch.inf
    for seed in range(30):
        v = uniform(*u.shape, seed=seed) - 0.5
        slope = torch.func.jvp(lambda u: likelihood.value_and_grad(u, y)[1], (u,), (v,))[1]
        least = dot(v, curved * v) - dot(v, slope)
        assert (least >= -1e-12).all()
        closest = min(closest, float((least / dot(v, curved * v)).min()))
    assert closest < 0.5  # not any bound, one of the right size


def test_what_is_no_class_costs_nothing(likelihood):
    u = scores().requires_grad_()
    likelihood(u, labels()).sum().backward()
    assert u.grad is not None
    assert (u.grad[0, :, 0, 0] == 0).all()
    assert (u.grad[1, :, 2, 3] == 0).all()
    assert u.grad.isfinite().all()


def test_samples_have_the_probabilities_of_the_softmax():
    u = torch.tensor([2.0, 0.0, -1.0]).reshape(1, 3, 1, 1).expand(1, 3, 150, 150)
    drawn = Categorical().sample(u, torch.Generator().manual_seed(0))
    assert drawn.shape == (1, 1, 150, 150)
    shares = torch.bincount(drawn.flatten().long(), minlength=3) / drawn.numel()
    torch.testing.assert_close(shares, u[0, :, 0, 0].softmax(0), rtol=0.05, atol=0.01)


def test_smoothing_keeps_the_best_scores_finite():
    """At the minimum the softmax is the smoothed label itself."""
    y, smooth = torch.zeros(1, 1, 1, 1), Categorical(smoothing=0.3)
    best = torch.tensor([0.8, 0.1, 0.1]).log().reshape(1, 3, 1, 1)
    assert smooth.value_and_grad(best, y)[1].abs().max() < 1e-6
    assert smooth(best + torch.tensor([5.0, 0, 0]).reshape(1, 3, 1, 1), y) > smooth(best, y)


def test_a_copy_scores_alike_and_follows_the_dtype(likelihood):
    twin = copy.deepcopy(likelihood)
    twin.load_state_dict(likelihood.state_dict())
    assert torch.equal(twin(scores(), labels()), likelihood(scores(), labels()))
    assert likelihood(scores().float(), labels().float()).dtype == torch.float32


@pytest.mark.parametrize(("weights", "smoothing"), [(-1.0, 0.0), (torch.nan, 0.0), (1.0, 1.0)])
def test_impossible_settings_are_told(weights, smoothing):
    with pytest.raises(ValueError, match="expected"):
        Categorical(weights, smoothing)


def test_as_many_weights_as_classes():
    with pytest.raises(ValueError, match="each of 4 classes, got 3"):
        Categorical(torch.ones(3))(scores(), labels())


def test_a_network_with_a_start_of_its_own_begins_there():
    """Labels have no precision to fill lost entries by: the operator's own estimate is taken."""
    network = Function(torch.nn.Conv2d(3, 4, 1), start=lambda y: y.expand(-1, 3, -1, -1) / 4)
    y = torch.full((1, 1, 8, 8), 2.0)
    assert (first_estimate(Measurement(y, network, Categorical())) == 0.5).all()

"""Update rules against torch's own, and what is asked of their settings."""

import pytest
import torch

from undegrade.untrained.update_rule import Adam, SteepestDescent, UpdateRule


def _steps(rule: UpdateRule, gradients: torch.Tensor) -> torch.Tensor:
    theta = torch.ones(1, gradients.shape[1], dtype=torch.float64)
    moments = rule.moments(theta)
    for k, gradient in enumerate(gradients):
        theta, moments = rule.update(theta, gradient[None], moments, torch.tensor(k + 1))
    return theta[0]


def _reference(optimizer: torch.optim.Optimizer, p: torch.Tensor, gradients: torch.Tensor) -> None:
    for gradient in gradients:
        p.grad = gradient.clone()
        optimizer.step()


def test_adam_is_adam():
    gradients = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
    _reference(torch.optim.Adam([p], 0.1, betas=(0.8, 0.95), eps=0), p, gradients)
    rule = Adam(rate=0.1, mean_decay=0.8, square_decay=0.95)
    torch.testing.assert_close(_steps(rule, gradients), p.detach())


def test_adam_does_not_see_the_scale_and_stays_where_there_is_no_gradient():
    gradients = torch.tensor([[1.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    steps = _steps(Adam(), gradients)
    torch.testing.assert_close(steps, _steps(Adam(), 1e6 * gradients))
    assert steps[1] == 1


def test_steepest_descent_diminishes_geometrically():
    gradients = torch.ones(3, 2, dtype=torch.float64)
    moved = 1 - _steps(SteepestDescent(rate=0.4, decay=0.5), gradients)
    torch.testing.assert_close(moved, torch.full_like(moved, 0.4 + 0.2 + 0.1))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Adam(rate=0.0),
        lambda: Adam(mean_decay=1.0),
        lambda: Adam(square_decay=-0.1),
        lambda: SteepestDescent(rate=-1.0),
        lambda: SteepestDescent(rate=1.0, decay=1.1),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected (a rate|decays)"):
        wrong()

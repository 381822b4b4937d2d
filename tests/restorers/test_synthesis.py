"""Pictures from label maps: they fit, they repeat, and each is made alone."""

import pytest
import torch
from torch import Tensor

import undegrade as ud
from undegrade.restorers.segmentation_file import SHIPPED

COLORS = torch.tensor([[0.2, 0.3, 0.8], [0.5, 0.5, 0.4]])


def bright_or_blue(x: Tensor) -> Tensor:
    """A network for two classes: blue or not, as the neighborhood has it."""
    blue = torch.nn.functional.avg_pool2d(x[:, 2:] - x[:, :1], 3, stride=1, padding=1)
    return torch.cat((8 * blue - 2, 2 - 8 * blue), 1)


def labels(*shape: int) -> Tensor:
    y = torch.zeros(shape)
    y[..., shape[-1] // 2 :] = 1
    y[0, 0, 0, 0] = 255
    return y


def measured(y: Tensor) -> ud.Measurement:
    network = ud.Function(bright_or_blue, ud.MeanColors(COLORS))
    return ud.Measurement(y, network, ud.Categorical(smoothing=0.05))


def smooth(x: Tensor, std: Tensor) -> Tensor:
    """A denoiser that takes no time."""
    del std
    return torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1)


QUICK = ud.Synthesis(stages=2, steps=2, denoiser=smooth)


def test_the_first_picture_has_the_mean_colors_and_gray_where_no_class_is():
    y = labels(2, 1, 20, 24)
    y[1, 0, 3, 4] = torch.nan
    x = ud.first_estimate(measured(y))
    assert torch.equal(x[1, :, 5, 20], COLORS[1])
    torch.testing.assert_close(x[0, :, 0, 0], COLORS.mean(0))
    torch.testing.assert_close(x[1, :, 3, 4], COLORS.mean(0))


def test_the_picture_fits_better_than_the_start_and_stays_a_picture():
    network = ud.Function(bright_or_blue, ud.MeanColors(torch.full((2, 3), 0.45)))
    y = labels(1, 1, 20, 24)
    measurement = ud.Measurement(y, network, ud.Categorical(smoothing=0.05))
    result = QUICK.restore(measurement)
    fit = ud.Fidelity(measurement.operator, measurement.likelihood, measurement.y)
    assert result.iterations == (3,)
    assert float(fit(result.x)) < 0.3 * float(fit(ud.first_estimate(measurement)))
    assert result.x.min() >= 0
    assert result.x.max() <= 1


def test_a_seed_repeats_and_another_makes_another_picture():
    measurement = measured(labels(1, 1, 20, 24))
    x = QUICK.restore(measurement).x
    assert torch.equal(QUICK.restore(measurement).x, x)
    other = ud.Synthesis(stages=2, steps=2, denoiser=smooth, seed=1)
    assert not torch.allclose(other.restore(measurement).x, x, atol=1e-3)


def test_each_picture_is_made_alone():
    y = torch.cat((labels(1, 1, 20, 24), labels(1, 1, 20, 24).flip(-1)))
    both = QUICK.restore(measured(y)).x
    for i in range(2):
        torch.testing.assert_close(QUICK.restore(measured(y[i : i + 1])).x[0], both[i])


def test_a_view_that_changes_nothing_is_the_network_itself():
    x = torch.rand(2, 3, 18, 20, generator=torch.Generator().manual_seed(0))
    alone = ud.Views(bright_or_blue, (ud.View(),), ud.MeanColors(COLORS))
    assert torch.equal(alone(x), bright_or_blue(x))
    with pytest.raises(ValueError, match="at least one view"):
        ud.Views(bright_or_blue, (), ud.MeanColors(COLORS))


def test_scores_come_back_to_their_places():
    """A scene that varies slowly gives nearly the same scores in every view."""
    rows, columns = torch.linspace(0, 1, 40), torch.linspace(0, 1, 48)
    x = (0.2 + 0.6 * rows[:, None] * columns).expand(1, 3, -1, -1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        view = ud.random_view(generator, 0.0)
        seen = ud.Views(lambda z: z, (view,), ud.MeanColors(COLORS))(x)
        torch.testing.assert_close(seen[..., 2:-2, 2:-2], x[..., 2:-2, 2:-2], rtol=0, atol=0.03)


def test_the_shipped_network_is_small_and_knows_the_sky():
    assert SHIPPED.stat().st_size <= 4e6
    network = ud.load_segmentation()
    assert sum(p.numel() for p in network.parameters()) <= 1e6
    x = torch.full((1, 3, 96, 128), 0.35)
    x[..., :40, :] = torch.tensor([0.75, 0.85, 0.95]).reshape(1, 3, 1, 1)
    sky = network(x).argmax(1)[0, 4:30] == network.settings.classes.index("sky")
    assert sky.float().mean() > 0.8

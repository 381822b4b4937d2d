import pytest
import torch
from torch import nn

from undegrade.core.image import norm
from undegrade.learned.autocast_cell import AutocastCell
from undegrade.networks.gated_cell import ConvolutionalGRU, GatedSettings
from undegrade.networks.multiscale_cell import MultiscaleCell, MultiscaleSettings
from undegrade.networks.residual_cell import ResidualSettings
from undegrade.networks.tiled_cell import LocalCell, TiledCell

CELLS = {
    "multiscale": MultiscaleSettings(widths=(4, 6), middle=1),
    "multiscale, three levels": MultiscaleSettings(
        widths=(4, 5, 6), before=(1, 0), middle=1, after=(0, 1)
    ),
    "residual": ResidualSettings(width=4, blocks=2, state_width=3, state_blocks=1),
    "residual without memory": ResidualSettings(width=4, blocks=2, state_width=0),
    "gated": GatedSettings(width=4, state_width=5),
}


def made(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cell = CELLS[name].build(6, 3).double()
        for p in cell.parameters():  # also those that start at zero
            nn.init.normal_(p, std=0.3)
        return cell


def features(b: int, h: int, w: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(h * w)
    return torch.randn(b, 6, h, w, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (1, 1), (13, 18)])
@pytest.mark.parametrize("name", CELLS)
def test_updates_have_the_size_of_the_features(name, size):
    cell, f = made(name), features(2, *size)
    update, hidden = cell(f, None)
    again, after = cell(f, hidden)
    assert update.shape == again.shape == (2, 3, *size)
    assert after.shape == hidden.shape


@pytest.mark.parametrize("name", CELLS)
def test_before_the_first_step_zeros_are_hidden(name):
    cell, f = made(name), features(2, 9, 6)
    begun = cell(f, None)
    torch.testing.assert_close(cell(f, torch.zeros_like(begun[1])), begun)


@pytest.mark.parametrize("name", CELLS)
def test_a_sample_does_not_notice_its_neighbors(name):
    cell, f = made(name), features(2, 9, 6)
    together = cell(f, cell(f, None)[1])[0]
    alone = [cell(f[i : i + 1], cell(f[i : i + 1], None)[1])[0] for i in (0, 1)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("name", [n for n in CELLS if n != "residual without memory"])
def test_the_hidden_state_matters(name):
    cell, f = made(name), features(1, 8, 8)
    hidden = cell(f, None)[1]
    assert not torch.allclose(cell(f, hidden)[0], cell(f, hidden + 1)[0])


@pytest.mark.parametrize("height", [75, 73, 49])
@pytest.mark.parametrize("name", ["multiscale", "multiscale, three levels", "residual"])
def test_tiles_give_what_the_whole_gives(name, height):
    cell = made(name)
    assert isinstance(cell, LocalCell)
    f = features(1, height, 140)
    tiled = TiledCell(cell, 24)
    hidden = None
    for _ in range(2):
        whole, pieces = cell(f, hidden), tiled(f, hidden)
        torch.testing.assert_close(pieces[0], whole[0])
        torch.testing.assert_close(pieces[1], whole[1])
        hidden = whole[1]


@pytest.mark.parametrize("name", ["multiscale", "multiscale, three levels", "residual"])
def test_reach_is_as_far_as_a_pixel_is_felt(name):
    """Nothing beyond the reach moves, and the reach is not much too large."""
    cell, size = made(name), 121
    f = features(1, size, size)
    changed = f.clone()
    changed[..., 60, 60] += 1
    difference = (cell(changed, None)[0] - cell(f, None)[0]).abs().amax((0, 1))
    rows = difference.amax(1).nonzero()
    felt = int((rows - 60).abs().max())
    assert felt <= cell.reach <= 2 * felt + 8


def test_a_cell_that_sees_everything_is_not_tiled():
    assert not isinstance(made("gated"), LocalCell)


def test_blocks_must_fit_the_levels():
    with pytest.raises(ValueError, match="expected 1 numbers of blocks"):
        MultiscaleSettings(widths=(4, 6), before=(1, 1))


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        (MultiscaleSettings, {"widths": (0, 4)}),
        (MultiscaleSettings, {"widths": (), "before": (), "after": ()}),
        (MultiscaleSettings, {"middle": -1}),
        (ResidualSettings, {"width": 0}),
        (GatedSettings, {"state_width": 0}),
    ],
)
def test_cells_without_channels_are_refused(settings, values):
    with pytest.raises(ValueError, match=r"expected .*above 0"):
        settings(**values)


def test_gates_at_rest_keep_the_state():
    gru = ConvolutionalGRU(2, 3).double()
    with torch.no_grad():
        gru.gates.weight.zero_()
        gru.gates.bias.fill_(-50.0)
    state = features(1, 5, 5)[:, :3]
    torch.testing.assert_close(gru(features(1, 5, 5)[:, 3:5], state), state)


def test_our_default_is_below_two_million_parameters():
    assert sum(p.numel() for p in MultiscaleSettings().build(14, 3).parameters()) < 2_000_000


def test_what_is_finer_than_bfloat16_is_seen_in_it():
    """Kernels that see detail alone, of light features with detail below a step of bfloat16."""
    generator = torch.Generator().manual_seed(0)
    f = 0.8 + 1e-3 * torch.randn(1, 6, 128, 128, generator=generator)
    cell = made("multiscale").float()
    assert isinstance(cell, MultiscaleCell)
    inside = ..., slice(cell.reach, -cell.reach), slice(cell.reach, -cell.reach)
    with torch.no_grad():
        for p in cell.parameters():
            p.copy_((16 * p).round() / 16)  # which bfloat16 holds
            if p.ndim == 1:
                p.zero_()
        kernels = cell.enter.weight
        kernels[..., 1, 1] -= kernels.sum((-2, -1))
        exact, rounded = cell(f, None)[0], AutocastCell(cell, torch.bfloat16)(f, None)[0]
    assert norm(rounded[inside] - exact[inside]) < 0.03 * norm(exact[inside])

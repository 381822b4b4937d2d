"""The hourglass with skips: sizes that do not fit, and what its parameters mean."""

import pytest
import torch

from undegrade.networks.random_projector import RandomProjector
from undegrade.networks.skip import Correction, SkipNetwork


@pytest.fixture(autouse=True)
def weights():
    """The same weights in every run, without a trace in the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def test_a_size_that_does_not_fit_is_continued_and_cropped_exactly():
    network = SkipNetwork(2, 3, widths=(3, 4, 4), skips=(1, 0, 2)).double()
    z = torch.rand(1, 2, 21, 30, dtype=torch.float64)
    continued = torch.nn.functional.pad(z, (0, 2, 0, 3), mode="replicate")
    assert torch.equal(network(z), network(continued)[..., :21, :30])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (5, 3), (16, 16), (33, 17)])
@pytest.mark.parametrize("padding", ["reflect", "zeros"])
def test_any_size_is_drawn(size, padding):
    x = SkipNetwork(2, 1, widths=(3, 4, 4), skips=(1, 1, 1), padding=padding)(
        torch.rand(1, 2, *size)
    )
    assert x.shape == (1, 1, *size)
    assert bool((x > 0).all() & (x < 1).all())


def test_a_skip_of_no_channels_is_no_skip():
    """Fine detail of the code then passes the coarse levels alone."""
    z = torch.rand(1, 2, 16, 16)
    checkers = 10.0 * (torch.arange(16)[:, None] + torch.arange(16)).remainder(2)
    for skips, through in (((0, 0), False), ((4, 0), True)):
        network = SkipNetwork(2, 1, widths=(6, 6), skips=skips)
        fine = (network(z + checkers) - network(z))[0, 0]
        fine = fine - torch.nn.functional.avg_pool2d(fine[None], 2).repeat_interleave(
            2, 1
        ).repeat_interleave(2, 2)
        assert (fine.abs().mean() > 1e-2) == through


def test_every_parameter_matters():
    network = SkipNetwork(2, 3, widths=(3, 4), skips=(1, 2))
    network(torch.rand(1, 2, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())


@pytest.mark.parametrize(
    ("widths", "skips"), [((), ()), ((4, 4), (1,)), ((4, 0), (1, 1)), ((4, 4), (1, -1))]
)
def test_levels_that_make_no_sense_are_refused(widths, skips):
    with pytest.raises(ValueError, match="one width ≥ 1 and one skip ≥ 0 per level"):
        SkipNetwork(widths=widths, skips=skips)


def test_a_random_projector_learns_its_code_and_normalization_alone():
    network = SkipNetwork(4, 3, widths=(3, 4), skips=(1, 2))
    z = torch.rand(1, 4, 9, 6)
    before = network(z)
    projector = RandomProjector(network, 2, (9, 6))
    assert torch.equal(projector(z), before)
    names = {name for name, _ in projector.named_parameters()}
    assert {n for n in names if n.endswith(".weight")} == {
        f"network.{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    }
    assert projector.moved.shape == (1, 2, 9, 6)
    projector(z).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in projector.parameters())


def test_a_projector_of_a_correction_can_draw():
    """Its last layer is 0 at first; it stays free."""
    network = SkipNetwork(4, 3, widths=(3, 4), skips=(1, 2), finish=torch.nn.Identity())
    projector = RandomProjector(Correction(network, 2), 2, (9, 6))
    assert "network.network.leave.weight" in dict(projector.named_parameters())

"""How much of its noise a channel does not share."""

import pytest
import torch

from undegrade.core.measurement import Measurement
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.operators.identity import Identity
from undegrade.restorers.shared_noise import own_noise


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("contrast", [1.0, 30.0], ids=["even", "stronger where it is bright"])
def test_what_is_shared_is_told_where_the_noise_differs_from_place_to_place(contrast, share):
    size, generator = (160, 160), torch.Generator().manual_seed(0)
    bright = torch.linspace(0, 1, size[1]).expand(1, 1, *size)
    own, common = (torch.randn(1, c, *size, generator=generator) for c in (3, 1))
    std = 0.05 * contrast ** (bright - 0.5)
    y = bright + std * ((1 - share) ** 0.5 * own + share**0.5 * common)
    found = own_noise(Measurement(y, Identity(), Gaussian(std.expand_as(y))))
    assert float(found) == pytest.approx((1 - share) ** 0.5, abs=0.1)

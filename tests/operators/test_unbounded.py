"""Which operators guess at what lies past the border of a picture."""

import pytest
import torch

from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.equal_channels import FirstChannel, Repeated
from undegrade.operators.response import Response
from undegrade.operators.response_curves import SRGB

PSF = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("boundary", ["periodic", "zero", "reflect", "symmetric", "valid"])
def test_these_borders_are_known(boundary):
    assert Blur(PSF, boundary).unbounded is None


def test_replicate_is_a_guess_which_a_larger_picture_needs_not():
    unbounded = Blur(PSF, "replicate").unbounded
    x = torch.rand(1, 2, 9, 8, generator=torch.Generator().manual_seed(1))
    assert unbounded is not None
    torch.testing.assert_close(unbounded(x), Blur(PSF, "valid")(x))


def test_a_composition_guesses_where_one_part_does_and_none_knows():
    guess = Blur(PSF, "replicate")
    one = (FirstChannel(3) @ guess @ Repeated(3)).unbounded
    x = torch.rand(1, 1, 9, 8, generator=torch.Generator().manual_seed(1))
    assert one is not None
    torch.testing.assert_close(one(x), Blur(PSF, "valid")(x))
    assert (Blur(PSF, "zero") @ guess).unbounded is None
    assert (Downsample(2) @ guess).unbounded is None
    assert (FirstChannel(3) @ Repeated(3)).unbounded is None


def test_a_blur_in_light_guesses_as_one_in_values_does():
    seen = Response(SRGB())
    one = (seen @ Blur(PSF, "replicate") @ seen.inverse).unbounded
    x = torch.rand(1, 3, 9, 8, generator=torch.Generator().manual_seed(1))
    assert one is not None
    torch.testing.assert_close(one(x), (seen @ Blur(PSF, "valid") @ seen.inverse)(x))
    assert (seen @ Blur(PSF, "reflect") @ seen.inverse).unbounded is None

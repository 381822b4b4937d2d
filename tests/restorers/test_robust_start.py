"""The learned start: gross errors of unknown place, value and fraction."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from skimage import data

import undegrade as ud
from undegrade.restorers.robust_start import robust_start


@pytest.fixture(scope="module")
def truth() -> torch.Tensor:
    pixels = torch.from_numpy(data.astronaut()[20:84, 190:254].copy())
    return pixels.permute(2, 0, 1)[None].float() / 255


def test_salt_and_pepper_goes_as_if_it_were_told(truth: torch.Tensor) -> None:
    eta = ud.SaltAndPepper(0.5)
    y = eta.sample(truth, torch.Generator().manual_seed(1))
    told = ud.RecurrentInference().restore(ud.Measurement(y, ud.Identity(), eta)).x
    start = robust_start(ud.Measurement(y))
    assert float(ud.psnr(start, truth)) > float(ud.psnr(told, truth)) - 0.1


def test_random_values_go(truth: torch.Tensor) -> None:
    draw = torch.Generator().manual_seed(2)
    where = torch.rand(truth.shape, generator=draw) < 0.3
    y = torch.where(where, torch.rand(truth.shape, generator=draw), truth)
    start = robust_start(ud.Measurement(y))
    assert float(ud.psnr(start, truth)) > float(ud.psnr(y, truth)) + 10


def test_letters_go_because_they_cover_whole_pixels(truth: torch.Tensor) -> None:
    page = Image.new("L", (64, 64))
    for row in (4, 24, 44):
        ImageDraw.Draw(page).text((4, row), "overlay letters", fill=255)
    ink = torch.from_numpy(np.asarray(page).copy()).float() / 255
    y = truth + ink * (0.9 - truth)
    start = robust_start(ud.Measurement(y))
    assert float(ud.psnr(start, truth)) > float(ud.psnr(y, truth)) + 8


def test_a_sample_is_judged_as_if_it_were_alone(truth: torch.Tensor) -> None:
    """Also where one of two has whole pixels corrupted and the other single entries."""
    y = torch.cat([damaged(truth, kind) for kind in ("dead columns", "random values")])
    both = robust_start(ud.Measurement(y))
    for k in (0, 1):
        alone = robust_start(ud.Measurement(y[k : k + 1]))
        torch.testing.assert_close(both[k : k + 1], alone, atol=0.02, rtol=0)


def damaged(truth: torch.Tensor, kind: str) -> torch.Tensor:
    draw = torch.Generator().manual_seed(2)
    if kind == "salt and pepper":
        return ud.SaltAndPepper(0.5).sample(truth, draw)
    width = truth.shape[3]
    where = torch.rand(1, 1, 1, width, generator=draw) < 0.1
    if kind == "random values":
        where = torch.rand(truth.shape, generator=draw) < 0.3
    return torch.where(where, torch.rand(truth.shape, generator=draw), truth)


@pytest.mark.parametrize("kind", ["salt and pepper", "random values", "dead columns"])
def test_what_is_drawn_is_no_worse_than_its_start(truth: torch.Tensor, kind: str) -> None:
    measurement = ud.Measurement(damaged(truth, kind))
    start = robust_start(measurement)
    method = ud.RobustUntrainedNetwork(widths=(16, 32, 64), iterations=100)
    drawn = method.restore(measurement).x
    assert float(ud.psnr(drawn, truth)) > float(ud.psnr(start, truth)) - 0.1


def test_a_correction_begins_at_its_picture() -> None:
    network = ud.SkipNetwork(2 + 3, 3, (3, 4), (1, 1), finish=torch.nn.Identity())
    code = torch.rand(1, 5, 12, 9)
    drawn = ud.Correction(network, 3)(code)
    torch.testing.assert_close(drawn, code[:, 2:].clamp(0.005, 0.995))


def test_a_non_linear_operator_is_refused() -> None:
    y = torch.rand(1, 3, 16, 16)
    with pytest.raises(ValueError, match="linear"):
        ud.RobustUntrainedNetwork(iterations=1).restore(
            ud.Measurement(y, ud.Function(torch.tanh), ud.Gaussian(0.1))
        )

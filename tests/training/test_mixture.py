import pytest
import torch

from undegrade.training.mixture import (
    Deblurring,
    Denoising,
    Dice,
    Inpainting,
    SuperResolution,
    Task,
    random_kernels,
)
from undegrade.training.mixture_settings import Mixture

KERNELS = random_kernels(torch.Generator().manual_seed(0), size=13, per_kind=4)
TASKS: dict[str, Task] = {
    "color": Denoising(gray=0.0),
    "gray": Denoising(gray=1.0),
    "periodic": Deblurring(kernels=KERNELS, periodic=1.0),
    "not periodic": Deblurring(kernels=KERNELS, periodic=0.0),
    "resolution": SuperResolution(kernels=KERNELS),
    "inpainting": Inpainting(),
}


def dice(seed: int = 0) -> Dice:
    return Dice(torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1))


def crops(b: int = 6) -> torch.Tensor:
    return torch.rand(b, 3, 36, 36, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_noise_is_as_strong_as_it_is_said_to_be(name, seed):
    """Where nothing was clipped, ‖y − Ax‖²/σ² is the number of entries, but for rounding."""
    x, m = TASKS[name].draw(0.3 + 0.4 * crops(), dice(seed))
    fitting = m.y - m.operator(x)
    std = m.likelihood.std.reshape(-1, 1, 1, 1)
    kept = (m.y != 0) & (m.y != 1)
    ratio = torch.where(kept, fitting, 0).square().flatten(1).sum(1) / kept.flatten(1).sum(1)
    assert ((ratio.sqrt() / std.flatten() - 1).abs() < 0.25).all()


@pytest.mark.parametrize("name", TASKS)
def test_the_dice_decide(name):
    draws = [TASKS[name].draw(crops(), dice(s))[1].y for s in (3, 3)]
    assert torch.equal(*draws)


def test_some_measurements_are_rounded_to_8_bits():
    _, m = Denoising(rounded=0.5, gray=0.0).draw(crops(40), dice())
    fine = ((m.y * 255).round() - m.y * 255).abs().flatten(1).amax(1) < 1e-3
    assert 8 < int(fine.sum()) < 32
    assert (m.y[fine].amin() >= 0) & (m.y[fine].amax() <= 1)


def test_kernels_sum_to_one_and_differ():
    torch.testing.assert_close(KERNELS.sum((1, 2, 3)), torch.ones(len(KERNELS)))
    assert KERNELS.shape[1:] == (1, 13, 13)
    assert len({tuple(k.flatten().tolist()) for k in KERNELS}) == len(KERNELS)


def test_shares_choose_the_tasks():
    tasks, shares = Mixture(deblurring=0.0, inpainting=0.0).tasks(torch.Generator().manual_seed(0))
    assert [type(t) for t in tasks] == [Denoising, SuperResolution]
    assert len(shares) == 2
    with pytest.raises(ValueError, match="shares of the tasks"):
        Mixture(denoising=-1.0).tasks(torch.Generator())

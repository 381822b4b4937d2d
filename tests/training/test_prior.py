"""Learning priors: the error falls, and an interrupted training goes on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.end_to_end.conftest import scene
from undegrade.core.measurement import Measurement
from undegrade.files.picture import write_image
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.metrics.distortion import psnr
from undegrade.operators.identity import Identity
from undegrade.restorers.learned_prior import load_prior
from undegrade.restorers.variational import Variational
from undegrade.training.prior import drawn, learn_prior
from undegrade.training.prior_settings import PriorProgress, PriorSettings


@pytest.fixture
def settings(tmp_path: Path) -> PriorSettings:
    torch.manual_seed(0)
    (tmp_path / "pictures").mkdir()
    for i in range(2):
        write_image(tmp_path / "pictures" / f"{i}.png", scene(40, 44 + i).clamp(0, 1))
    return PriorSettings(
        images=(tmp_path / "pictures",),
        output=tmp_path / "prior.safetensors",
        filters=6,
        size=3,
        crops=4,
        crop=24,
        batch=2,
        iterations=24,
        save_every=10,
    )


@pytest.mark.parametrize("model", ["convex", "weakly-convex"])
def test_the_error_falls(settings: PriorSettings, model) -> None:
    settings, seen = replace(settings, model=model), list[PriorProgress]()
    path = learn_prior(settings, [seen.append])
    assert [p.iteration for p in seen] == list(range(1, 25))
    assert sum(p.decibels for p in seen[-6:]) > sum(p.decibels for p in seen[:6])
    x, y = drawn(settings)
    noise = Gaussian(25 / 255)
    restored = Variational(prior=str(path)).restore(Measurement(y, Identity(), noise)).x
    assert (psnr(restored, x) > psnr(y, x) + 0.5).all()
    exponents = load_prior(path).tensors["exponents"]
    assert bool((exponents >= 1).all()) == (model == "convex")


def test_an_interrupted_training_gives_the_same(settings: PriorSettings, tmp_path: Path) -> None:
    whole = load_prior(learn_prior(settings)).tensors
    parts = replace(settings, output=tmp_path / "again.safetensors")
    learn_prior(replace(parts, seconds=1e-6))
    assert list((tmp_path / "again.checkpoints").iterdir())
    again = load_prior(learn_prior(parts)).tensors
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    other = replace(parts, rate=0.5)
    with pytest.raises(ValueError, match="another checkpoint than expected"):
        learn_prior(other)


def test_what_cannot_be_learned_is_said(settings: PriorSettings) -> None:
    with pytest.raises(ValueError, match="mini-batch"):
        replace(settings, solver="maid")
    with pytest.raises(ValueError, match="--solver maid"):
        replace(settings, model="total-variation")
    with pytest.raises(ValueError, match="odd size, got 4"):
        learn_prior(replace(settings, size=4))
    with pytest.raises(ValueError, match="got 3 and 9"):
        learn_prior(replace(settings, filters=9))

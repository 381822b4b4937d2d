"""The training of the shipped weights, on pictures of a few pixels."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import undegrade as ud
from benchmarks import learned_ablation, weights
from undegrade.core.solver import advance
from undegrade.learned.schedule import GeometricErrors
from undegrade.machines.weight_file import load_weights

pytestmark = pytest.mark.filterwarnings(
    r"ignore:The `srun` command is available:UserWarning",
    r"ignore:.*isinstance.*treespec.*:FutureWarning",
    r"ignore:.*LeafSpec.*:FutureWarning",
    r"ignore:.*LeafSpec.*:DeprecationWarning",
)


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "pictures").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "pictures" / "0.png")
    return replace(
        weights.TRAININGS["denoising"],
        images=(tmp_path / "pictures",),
        output=tmp_path / "weights",
        iterations=1,
        batch=1,
        crops=(16, 16),
    )


@pytest.mark.parametrize("name", ["denoising", "denoising-gray"])
def test_in_the_splitting_a_denoiser_takes_the_expected_error_for_the_noise(name):
    split = learned_ablation.split(weights.SHIPPED[name])
    denoiser = load_weights(weights.SHIPPED[name])[0]
    colors = denoiser.colors
    y = torch.rand(1, colors, 112, 112, generator=torch.Generator().manual_seed(0))

    def after_a_step(rim: ud.RIM, std: float) -> torch.Tensor:
        problem = ud.Fidelity(ud.Identity(), ud.Gaussian(std), y)
        with torch.no_grad():
            x = advance(rim.with_steps(1), problem, y, 1).x
        return x[..., 48:64, 48:64]  # at the border what was a constant input counts for less

    expected = float(GeometricErrors().errors(torch.tensor([0.02]), 1)[0])
    seen = after_a_step(split, 0.02)
    torch.testing.assert_close(seen, after_a_step(denoiser, expected), atol=1e-4, rtol=0)
    assert (seen - after_a_step(denoiser, expected / 2)).abs().max() > 0.01


@pytest.mark.parametrize("name", weights.TRAININGS)
def test_it_trains_and_its_status_compares_the_average_with_what_ships(settings, capsys, name):
    weights.status(settings, settings.images[0], name)
    assert capsys.readouterr().out == "stopped\n"
    weights.go_on(replace(settings, start_from=weights.SHIPPED[name]))
    assert capsys.readouterr().out == f"{settings.output / 'weights.safetensors'}\n"
    weights.status(settings, settings.images[0], name)
    stopped, header, row, shipped, average, _ = capsys.readouterr().out.splitlines()
    assert (stopped, header) == ("stopped", "iteration,loss")
    assert row.startswith("1,")
    assert shipped.endswith(f" dB  {weights.SHIPPED[name]}")
    assert average.endswith(f" dB  {settings.output / 'weights.safetensors'}")


def test_two_do_not_train_at_once(settings):
    code = (
        "from benchmarks.weights import holder; from pathlib import Path; import sys;"
        "print(holder(Path(sys.argv[1])))"
    )
    with weights.alone(settings.output):
        with pytest.raises(SystemExit, match="runs already"):
            weights.go_on(settings)
        command = [sys.executable, "-c", code, str(settings.output)]
        root = Path(weights.__file__).parents[1]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert int(ran.stdout) > 0
    assert weights.holder(settings.output) is None

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import undegrade as ud
from undegrade.files.checkpoint import load_checkpoint
from undegrade.files.tables import read_rows
from undegrade.learned.gauss_newton_features import GaussNewtonSettings
from undegrade.learned.gradient_features import GradientSettings
from undegrade.learned.schedule import GeometricErrors
from undegrade.machines.architecture import ARCHITECTURES, Architecture
from undegrade.machines.weight_file import load_weights
from undegrade.networks.gated_cell import GatedSettings
from undegrade.networks.multiscale_cell import MultiscaleSettings
from undegrade.networks.residual_cell import ResidualSettings
from undegrade.restorers.recurrent_inference import restored_by
from undegrade.training.mixture import Mixture
from undegrade.training.orthogonal_momentum import OrthogonalMomentum, orthogonalized
from undegrade.training.pictures import read_pictures
from undegrade.training.run import Run, initial_machine, step_factor
from undegrade.training.settings import TrainingSettings
from undegrade.training.train import launch, train
from undegrade.training.unrolled import unrolled_loss
from undegrade.training.validation import Validation

pytestmark = pytest.mark.filterwarnings(
    r"ignore:The `srun` command is available:UserWarning",
    r"ignore:.*isinstance.*treespec.*:FutureWarning",
    r"ignore:.*LeafSpec.*:FutureWarning",
    r"ignore:.*LeafSpec.*:DeprecationWarning",
)

CELL = MultiscaleSettings(widths=(4, 6), middle=1)


def machine(name: str, cell, **changes) -> Architecture:
    return replace(ARCHITECTURES[name], cell=cell, **changes)


TINY = machine("denoising", CELL)
OTHER = machine("denoising", MultiscaleSettings(widths=(4, 8), middle=1))
DENOISING = Mixture(deblurring=0.0, super_resolution=0.0, inpainting=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rows, columns = np.mgrid[:40, :48]
    for i in range(3):
        waves = np.sin((i + 1) * rows / 9) * np.cos(columns / (3 + i)) * 100 + 128
        Image.fromarray(np.stack((waves, 0.8 * waves, 0.6 * waves), -1).astype(np.uint8)).save(
            folder / f"{i}.png"
        )
    return folder


def settings(folder: Path, output: Path, **changes) -> TrainingSettings:
    few = TrainingSettings(
        images=(folder,),
        output=output,
        architecture=TINY,
        mixture=DENOISING,
        iterations=6,
        batch=2,
        crops=(16, 20),
        scales=(1.0,),
        save_every=2,
        warm_up=1,
        accelerator="cpu",
    )
    return replace(few, **changes)


def test_an_interrupted_training_ends_like_an_uninterrupted_one(folder, tmp_path):
    train(settings(folder, tmp_path / "whole"))
    train(settings(folder, tmp_path / "parts", seconds=1e-9, save_every=4))
    assert load_checkpoint(tmp_path / "parts" / "checkpoint-000000001.pt", {})["iteration"] == 1
    train(settings(folder, tmp_path / "parts"))
    whole, parts = (load_file(tmp_path / f / "weights.safetensors") for f in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_the_seed_decides(folder, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(settings(folder, tmp_path / name, iterations=2, seed=seed))
    a, b, c = (load_file(tmp_path / n / "weights.safetensors") for n in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_the_global_generator_stays_as_it_is(folder, tmp_path):
    before = torch.get_rng_state()
    initial_machine(settings(folder, tmp_path))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_last_checkpoint(folder, tmp_path):
    """kill -9 in the middle; then the end is that of a training never killed."""
    code = (
        "import sys; from pathlib import Path; import torch; torch.set_num_threads(1);"
        "from tests.training.test_train import settings;"
        "from undegrade.training.train import train;"
        "train(settings(Path(sys.argv[1]), Path(sys.argv[2]), iterations=40))"
    )
    killed = tmp_path / "killed"
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder), str(killed)]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while not (killed / "checkpoint-000000004.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "checkpoint-000000040.pt").exists()
    subprocess.run(command, check=True)
    command[-1] = str(tmp_path / "whole")
    subprocess.run(command, check=True)
    whole, parts = (load_file(tmp_path / f / "weights.safetensors") for f in ("whole", "killed"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


WIDE = MultiscaleSettings(widths=(8, 8), middle=1)
MACHINES = {
    "denoising": machine("denoising", WIDE),
    "universal": machine("universal", WIDE, steps=3),
    "gauss-newton": machine("gauss-newton", WIDE, steps=3),
    "residual": machine(
        "residual", ResidualSettings(width=8, blocks=1, state_width=4, state_blocks=1), steps=2
    ),
    "residual without memory": machine(
        "residual",
        ResidualSettings(width=8, blocks=1, state_width=0),
        steps=2,
        features=GradientSettings(differentiable=False, noise_level=True),
    ),
    "gated": machine("gated", GatedSettings(width=8, state_width=8), steps=3),
}


@pytest.mark.parametrize("name", MACHINES)
def test_training_makes_every_machine_better(folder, tmp_path, name):
    """Of the run's own weights, not their average, which lags behind in so short a training."""
    chosen = settings(folder, tmp_path, architecture=MACHINES[name], iterations=60, save_every=60)
    chosen = replace(chosen, mixture=replace(DENOISING, noise=50.0, gray=0.0))
    pictures = Validation(read_pictures((folder,)), torch.device("cpu"))
    trained = initial_machine(chosen)[0].eval()
    before = pictures(trained, ["color 25"])["color 25"]
    train(chosen)
    trained.load_state_dict(load_checkpoint(tmp_path / "checkpoint-000000060.pt", {})["model"])
    assert pictures(trained, ["color 25"])["color 25"] > before + 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "auto"},
        {"precision": "32-true"},
        {"precision": "bf16-mixed"},
        {"precision": "bf16-mixed", "recompute": True},
        {"architecture": None},
        {"architecture": MACHINES["universal"], "precision": "bf16-mixed"},
        {"architecture": MACHINES["gauss-newton"], "precision": "bf16-mixed"},
        {"architecture": MACHINES["residual"], "precision": "bf16-mixed"},
        {"architecture": MACHINES["gated"], "precision": "bf16-mixed"},
        {"accelerator": "auto"},
        {"accelerator": "cpu"},
        {"short": 1},
        {"accumulate": 2},
        {"decay": 1.0},
        {"scales": (1.0, 0.9)},
        {"recolored": 1.0},
        {"seconds": 1e6},
        {"warm_up": 0, "cool_down": 1.0},
    ],
    ids=str,
)
def test_every_documented_value_trains(folder, tmp_path, change):
    """Behind a blur, whose transforms know no lower precision."""
    two_iterations_of(folder, tmp_path, "deblurring", change)


@pytest.mark.parametrize("task", ["super_resolution", "inpainting", "denoising"])
def test_every_task_trains_in_bfloat16(folder, tmp_path, task):
    two_iterations_of(folder, tmp_path, task, {"precision": "bf16-mixed"})


@pytest.mark.parametrize("name", ["universal", "gauss-newton", "residual", "gated"])
def test_every_kind_of_machine_trains_behind_a_camera(folder, tmp_path, name):
    two_iterations_of(folder, tmp_path, "cameras", {"architecture": MACHINES[name]})


def test_damping_is_trained_with_the_cell_and_kept_with_it(folder, tmp_path):
    chosen = settings(folder, tmp_path, architecture=MACHINES["gauss-newton"], iterations=2)
    train(replace(chosen, mixture=Mixture(**{**NOTHING, "cameras": 1.0}), crops=(36, 36)))
    trained, architecture, _ = load_weights(tmp_path / "weights.safetensors")
    assert architecture == MACHINES["gauss-newton"]
    begun = initial_machine(chosen)[0].state_dict()
    moved = {n for n, t in trained.state_dict().items() if not torch.equal(t, begun[n])}
    assert {n for n in begun if n.startswith("features.damping.")} <= moved


NOTHING = dict.fromkeys(
    ("denoising", "deblurring", "super_resolution", "inpainting", "cameras"), 0.0
)


def two_iterations_of(folder, tmp_path, task, change):
    losses = []
    chosen = settings(
        folder, tmp_path, mixture=Mixture(**{**NOTHING, task: 1.0}), iterations=2, crops=(36, 36)
    )
    train(replace(chosen, **change), [lambda p: losses.append(float(p.loss))])
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    load_weights(tmp_path / "weights.safetensors")


@pytest.mark.slow
def test_a_compiled_cell_trains(folder, tmp_path):
    """In an interpreter of its own: the compiler cannot see through the checks of the tests."""
    script = (
        "import sys, math, pathlib, undegrade as ud\n"
        "folder, output = map(pathlib.Path, sys.argv[1:])\n"
        "losses = []\n"
        "mixture = ud.Mixture(deblurring=0.0, super_resolution=0.0, inpainting=0.0)\n"
        "s = ud.TrainingSettings(images=(folder,), output=output, mixture=mixture, iterations=2,\n"
        "    architecture=ud.ARCHITECTURES['denoising'], batch=1, crops=(16, 16), scales=(1.0,),\n"
        "    accelerator='cpu', compile=True)\n"
        "ud.train(s, [lambda p: losses.append(float(p.loss))])\n"
        "assert len(losses) == 2 and all(map(math.isfinite, losses))\n"
    )
    command = [sys.executable, "-c", script, str(folder), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]


def test_the_lower_precision_is_the_cells_alone(folder, tmp_path):
    """Estimates, loss and weights are in float32; the first loss is near that of float32."""
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        seen = losses[precision] = []
        chosen = settings(folder, tmp_path / precision, precision=precision, iterations=1)
        train(replace(chosen, architecture=MACHINES["gated"]), [lambda p, s=seen: s.append(p.loss)])
    (single,), (lower,) = losses.values()
    assert single.dtype == lower.dtype == torch.float32
    assert single != lower
    assert lower == pytest.approx(float(single), rel=0.01)
    tensors = load_file(tmp_path / "bf16-mixed" / "weights.safetensors")
    assert {t.dtype for t in tensors.values()} == {torch.float32}


def denormals_survive() -> bool:
    return bool(torch.tensor(1e-39) * 0.5 > 0)


def test_a_training_flushes_denormals_and_its_caller_does_not(folder, tmp_path, monkeypatch):
    update, seen = Run.update, []
    monkeypatch.setattr(Run, "update", lambda run: seen.append(denormals_survive()) or update(run))
    train(settings(folder, tmp_path, iterations=2))
    assert seen == [False, False]
    assert denormals_survive()


def test_denormals_are_flushed_on_every_computing_thread():
    """Two threads compute; the caller's have begun before, and keep what they do."""
    code = (
        "import torch; torch.set_num_threads(2)\n"
        "from undegrade.training.denormals import flushing_thread\n"
        "x = torch.full((2_000_000,), 1e-39)\n"
        "kept = lambda: float((x * 0.5 > 0).float().mean())\n"
        "before = kept()\n"
        "with flushing_thread() as thread: inside = thread.submit(kept).result()\n"
        "print(before, inside, kept(), torch.get_num_threads())"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert ran.stdout.split() == ["1.0", "0.0", "1.0", "2"]


def test_without_validation_the_curve_has_the_loss(folder, tmp_path):
    losses = []
    train(settings(folder, tmp_path, iterations=4), [lambda p: losses.append(float(p.loss))])
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["iteration"]) for row in rows] == [2, 4]
    means = [sum(losses[:2]) / 2, sum(losses[2:]) / 2]
    assert [float(row["loss"]) for row in rows] == pytest.approx(means)


def test_the_average_follows_the_weights_and_is_what_ships(folder, tmp_path):
    """a ← d·a + (1 − d)·w with d = min(average, (1 + k)/(10 + k)), from the start, by hand."""
    chosen = settings(folder, tmp_path, iterations=3, average=0.25)
    run = Run(chosen, launch(chosen))
    average = {name: t.clone() for name, t in run.average.state_dict().items()}
    started = {name: t.clone() for name, t in average.items()}
    for k in range(1, 4):
        run.update()
        d = min(0.25, (1 + k) / (10 + k))
        average = {n: d * a + (1 - d) * run.rim.state_dict()[n] for n, a in average.items()}
    run.save()
    shipped = load_file(tmp_path / "weights.safetensors")
    for name, expected in average.items():
        torch.testing.assert_close(run.average.state_dict()[name], expected.detach())
        torch.testing.assert_close(shipped[name], expected.detach())
    assert any(not torch.equal(shipped[name], t) for name, t in started.items())


def test_vectors_follow_adamw():
    """The same steps as torch's own, the first of which its bias correction decides."""
    start = torch.randn(7, generator=torch.Generator().manual_seed(0))
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    optimizer = OrthogonalMomentum([], [ours], vector_rate=0.01, weight_decay=0.1)
    adamw = torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    for k in range(3):
        gradient = torch.randn(7, generator=torch.Generator().manual_seed(k + 1))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        optimizer.step()
        adamw.step()
        torch.testing.assert_close(ours, theirs)


def test_the_whole_mixture_trains_with_recomputing_and_accumulation(folder, tmp_path):
    losses = []
    chosen = settings(
        folder, tmp_path, mixture=Mixture(), crops=(36, 36), recompute=True, accumulate=2
    )
    train(chosen, [lambda p: losses.append(float(p.loss))])
    assert np.isfinite(losses).all()


def test_a_machine_of_one_channel_trains_on_gray_pictures_and_is_validated_on_them(
    folder, tmp_path
):
    chosen = settings(
        folder, tmp_path, architecture=machine("universal", CELL, colors=1), crops=(36, 36)
    )
    train(replace(chosen, mixture=Mixture(gray=0.0), validate=folder, iterations=2, save_every=2))
    (row,) = read_rows(tmp_path / "curve.csv")
    assert all(np.isfinite(float(value)) for value in row.values())
    assert load_weights(tmp_path / "weights.safetensors")[0].colors == 1


@pytest.mark.parametrize("ruined", [1, 2])
def test_a_batch_without_a_finite_gradient_ruins_nothing_and_is_told(folder, tmp_path, ruined):
    chosen = settings(folder, tmp_path)
    run = Run(chosen, launch(chosen))
    sound = run._loss
    run._loss = lambda: sound() * (torch.nan if run.iteration == ruined else 1)
    run.update()
    run.update()
    with pytest.warns(UserWarning, match="1 of 2 gradients were not finite and were taken for 0"):
        run.save()
    for values in (*run.rim.parameters(), *run.average.parameters()):
        assert values.isfinite().all()
    assert float(read_rows(tmp_path / "curve.csv")[0]["loss"]) > 0


def test_accumulating_draws_several_batches_and_updates_once(folder, tmp_path):
    states = []
    for accumulate, iterations in ((3, 1), (1, 3)):
        output = tmp_path / str(accumulate)
        chosen = settings(folder, output, accumulate=accumulate, iterations=iterations)
        train(replace(chosen, crops=(16, 16), save_every=iterations))
        states.append(load_checkpoint(output / f"checkpoint-{iterations:09d}.pt", {}))
    assert all(map(torch.equal, states[0]["generators"], states[1]["generators"]))
    counts = [s["optimizer"]["state"][p]["count"] for s, p in zip(states, (6, 6), strict=True)]
    assert [s["iteration"] for s in states] == [1, 3]
    assert counts == [1, 3]


def test_validation_writes_a_curve(folder, tmp_path):
    seen = []
    train(settings(folder, tmp_path, validate=folder, iterations=4), [seen.append])
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(r["iteration"]) for r in rows] == [2, 4]
    assert 5 < float(rows[-1]["color 25"]) < 50
    assert seen[1].validation is not None
    assert seen[0].validation is None


def test_weights_say_where_they_come_from(folder, tmp_path):
    path = train(settings(folder, tmp_path, iterations=2))
    rim, architecture, about = load_weights(path)
    assert architecture == TINY
    assert about["iteration"] == "2"
    assert "crops=(16, 20)" in about["training"]
    assert about["data"] == folder.name
    assert str(folder.parent) not in str(about)
    average = load_checkpoint(tmp_path / "checkpoint-000000002.pt", {})["average"]
    assert all(torch.equal(t, average[name]) for name, t in rim.state_dict().items())


def test_a_damaged_checkpoint_is_warned_of_and_the_one_before_it_used(folder, tmp_path):
    train(settings(folder, tmp_path / "whole"))
    train(settings(folder, tmp_path / "parts", iterations=4))
    newest = tmp_path / "parts" / "checkpoint-000000004.pt"
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"checkpoint-000000004.pt is damaged.*earlier one"):
        train(settings(folder, tmp_path / "parts"))
    content = load_checkpoint(tmp_path / "parts" / "checkpoint-000000006.pt", {})
    assert content["iteration"] == 6


def test_a_training_may_begin_with_the_weights_of_another(folder, tmp_path):
    path = train(settings(folder, tmp_path / "first", iterations=2))
    chosen = settings(folder, tmp_path, start_from=path, seed=5)
    rim, architecture = initial_machine(replace(chosen, architecture=None))
    assert architecture == TINY
    written = load_file(path)
    assert all(torch.equal(t, written[name]) for name, t in rim.state_dict().items())
    with pytest.raises(ValueError, match="holds another machine"):
        initial_machine(replace(chosen, architecture=OTHER))


def test_learned_damping_may_begin_with_the_machine_of_fixed_damping(folder, tmp_path):
    fixed, learned = machine("universal", CELL), machine("gauss-newton", CELL)
    train(settings(folder, tmp_path / "fixed", architecture=fixed))
    file = tmp_path / "fixed" / "weights.safetensors"
    begun, found = initial_machine(
        settings(folder, tmp_path, architecture=learned, start_from=file)
    )
    assert found == learned
    values, trained = begun.state_dict(), load_weights(file)[0].state_dict()
    assert values.keys() > trained.keys()
    for name, value in trained.items():
        torch.testing.assert_close(values[name], value)
    y = ud.Measurement(torch.rand(1, 3, 16, 16), ud.Blur(ud.gaussian_psf(1.0)), ud.Gaussian(0.1))
    torch.testing.assert_close(restored_by(begun, y).x, restored_by(load_weights(file)[0], y).x)
    sooner = replace(fixed.features, schedule=GeometricErrors(first=0.06))
    with pytest.raises(ValueError, match="holds another machine"):
        other = replace(learned, features=GaussNewtonSettings(start=sooner))
        initial_machine(settings(folder, tmp_path, architecture=other, start_from=file))
    with pytest.raises(ValueError, match="holds another machine"):
        initial_machine(settings(folder, tmp_path, architecture=TINY, start_from=file))


def test_another_machines_checkpoints_are_refused(folder, tmp_path):
    train(settings(folder, tmp_path, iterations=2))
    other = settings(folder, tmp_path, architecture=OTHER)
    with pytest.raises(ValueError, match="another checkpoint than expected"):
        train(other)


def test_step_sizes_rise_stay_and_fall():
    s = TrainingSettings(images=(), output=Path(), iterations=100, warm_up=10, cool_down=0.5)
    assert step_factor(s, 0) == pytest.approx(0.1)
    assert step_factor(s, 30) == 1
    assert step_factor(s, 75) == pytest.approx(0.5)
    assert step_factor(s, 100) == pytest.approx(0.01)


def test_orthogonalized_matrices_have_singular_values_near_one():
    generator = torch.Generator().manual_seed(0)
    for shape in ((8, 30), (30, 8)):
        matrix = torch.randn(shape, generator=generator)
        u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
        o = orthogonalized(matrix)
        values = torch.linalg.svdvals(o)
        assert values.min() > 0.4
        assert values.max() < 1.3
        cosine = (o * (u @ vt)).sum() / (o.norm() * (u @ vt).norm())
        assert cosine > 0.97


def test_orthogonalizing_lifts_small_singular_values_by_a_polynomial():
    matrix = torch.randn(24, 60, generator=torch.Generator().manual_seed(0))
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    singular = torch.logspace(0, -6, 24)
    lifted = singular / singular.norm()
    for _ in range(5):
        lifted = 3.4445 * lifted - 4.7750 * lifted**3 + 2.0315 * lifted**5
    found = orthogonalized((u * singular) @ vt)
    torch.testing.assert_close(found, (u * lifted) @ vt, atol=2e-3, rtol=0)


def test_the_optimizer_reaches_a_least_squares_solution():
    generator = torch.Generator().manual_seed(0)
    truth, inputs = torch.randn(4, 6, generator=generator), torch.randn(50, 6, generator=generator)
    weight, bias = torch.nn.Parameter(torch.zeros(4, 6)), torch.nn.Parameter(torch.zeros(4))
    optimizer = OrthogonalMomentum([weight], [bias], rate=0.1, vector_rate=0.03, weight_decay=0.0)
    for i in range(300):
        optimizer.schedule(1 - i / 300)
        optimizer.zero_grad()
        (inputs @ (weight - truth).T + bias - 1).square().mean().backward()
        optimizer.step()
    assert (weight - truth).abs().max() < 0.05
    assert (bias - 1).abs().max() < 0.05


def test_the_loss_is_a_weighted_mean_of_root_mean_squares():
    truth = torch.zeros(2, 1, 3, 3)
    estimates = torch.stack((truth + 0.4, truth + 0.1))
    loss = unrolled_loss(estimates, truth, 0.5)
    torch.testing.assert_close(loss, torch.full((2,), (0.5 * 0.4 + 0.1) / 1.5), atol=1e-5, rtol=0)

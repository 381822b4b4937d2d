"""A training while it goes on: everything that a checkpoint must hold, and one update."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

import torch
from torch import Tensor, nn

from undegrade.core.objective import Fidelity
from undegrade.files.checkpoint import (
    checkpoint_path,
    keep_newest,
    newest_checkpoint,
    save_checkpoint,
)
from undegrade.files.tables import append_row
from undegrade.learned.autocast_cell import Precision, computing_dtype
from undegrade.learned.gauss_newton_features import GaussNewtonSettings
from undegrade.learned.rim import RIM
from undegrade.machines.architecture import Architecture, architecture_to_json
from undegrade.machines.weight_file import load_weights, save_weights
from undegrade.restorers.initial import first_estimate
from undegrade.training.orthogonal_momentum import OrthogonalMomentum
from undegrade.training.pictures import Pictures, read_pictures
from undegrade.training.settings import TrainingSettings
from undegrade.training.unrolled import Unrolled, unrolled_loss
from undegrade.training.validation import Validation

if TYPE_CHECKING:
    from lightning_fabric import Fabric


_PRECISIONS: dict[str, Precision] = {
    "auto": "auto",
    "32-true": "float32",
    "bf16-mixed": "bfloat16",
}

_LARGER_FROM = 0.75  # of the iterations: larger crops are dear, and the last ones decide


class Generators(NamedTuple):
    """Two generators: `host` decides which crops and which task, `device` everything else."""

    host: torch.Generator
    device: torch.Generator


@final
class Run:
    """The machine, its moving average, the optimizer and the generators of a training.

    Arguments:
        settings: of the training. What is on disk from earlier is taken up at once; a damaged
            checkpoint is warned of, and the one before it used.
        fabric: launched.
    """

    def __init__(self, settings: TrainingSettings, fabric: "Fabric") -> None:
        self.settings, self.fabric, self.iteration = settings, fabric, 0
        device, seed = fabric.device, settings.seed
        self.pictures = Pictures(
            read_pictures(settings.images),
            settings.scales,
            recolored=settings.recolored,
            device=device,
        )
        self.rim, self.architecture = initial_machine(settings)
        tasks = settings.mixture.tasks(torch.Generator().manual_seed(seed))
        self.tasks = [task.of(self.architecture.colors) for task in tasks]
        self.shares = torch.tensor([task.share for task in self.tasks])
        self.rim.to(device)
        self.average = copy.deepcopy(self.rim)
        if settings.compile:
            self.rim.get_submodule("cell").compile()
        kernels, vectors = split_parameters(self.rim)
        self.steps = OrthogonalMomentum(
            kernels,
            vectors,
            rate=settings.kernel_rate,
            vector_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        dtype = computing_dtype(_PRECISIONS[settings.precision], device)
        unrolled = Unrolled(self.rim, dtype, recompute=settings.recompute)
        self.unrolled, self.optimizer = fabric.setup(unrolled, self.steps)
        host = torch.Generator().manual_seed(seed + 1 + fabric.global_rank)
        # far from the seeds of the crops, of which every process has one
        noise = torch.Generator(device).manual_seed(seed + 1_000_001 + fabric.global_rank)
        self.generators, self.losses = Generators(host, noise), list[Tensor]()
        self.unusable = torch.zeros((), dtype=torch.long, device=device)
        held_out = [] if settings.validate is None else read_pictures((settings.validate,))
        self.validation = Validation(held_out, device)
        example = self._content([g.get_state()[None][:0] for g in self.generators])
        checkpoint, complaints = newest_checkpoint(settings.output, example)
        for complaint in complaints:
            warnings.warn(f"{complaint}; an earlier one is used", stacklevel=2)
        if checkpoint is not None:
            self._restore(checkpoint)

    def update(self) -> Tensor:
        """One step of the optimizer; the loss, still on the device."""
        self.iteration += 1
        self.steps.schedule(step_factor(self.settings, self.iteration - 1))
        total = torch.zeros((), device=self.fabric.device)
        for i in range(self.settings.accumulate):
            waits = i + 1 < self.settings.accumulate
            with self.fabric.no_backward_sync(self.unrolled, enabled=waits):
                loss = self._loss() / self.settings.accumulate
                self.fabric.backward(loss)
            total = total + loss.detach()
        size = self.fabric.clip_gradients(
            self.unrolled, self.optimizer, max_norm=self.settings.clip, error_if_nonfinite=False
        )
        self._leave_out(torch.as_tensor(size))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._follow()
        self.losses.append(total)
        return total

    def save(self) -> dict[str, float]:
        """Validate the average, and write checkpoint, weights and one line of the curve."""
        states = [self._gathered(g.get_state()) for g in self.generators]
        if not self.fabric.is_global_zero:
            return {}
        output, values = self.settings.output, self.validation(self.average)
        save_checkpoint(checkpoint_path(output, self.iteration), self._content(states))
        keep_newest(output, 2)
        about = self._about()
        save_weights(output / "weights.safetensors", self.average, self.architecture, about)
        losses = torch.stack(self.losses)  # since the last line
        loss = float(losses[losses.isfinite()].mean())
        if unusable := int(self.unusable):
            text = f"{unusable} of {len(losses)} gradients were not finite and were taken for 0"
            warnings.warn(text, stacklevel=2)
        self.losses.clear()
        self.unusable.zero_()
        append_row(output / "curve.csv", {"iteration": self.iteration, "loss": loss, **values})
        return values

    def _content(self, states: Sequence[Tensor]) -> dict[str, Any]:
        """What a checkpoint holds, given the generators' states, one row per process."""
        return {
            "iteration": self.iteration,
            "architecture": architecture_to_json(self.architecture),
            "model": self.rim.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": list(states),
        }

    def _about(self) -> dict[str, str]:
        """What the weights tell of their making; nothing of where it happened."""
        elsewhere = replace(self.settings, images=(), output=Path(), start_from=None, validate=None)
        return {
            "data": ", ".join(folder.name for folder in self.settings.images),
            "iteration": str(self.iteration),
            "training": repr(elsewhere),
        }

    def _loss(self) -> Tensor:
        settings = self.settings
        size = settings.crops[self.iteration > _LARGER_FROM * settings.iterations]
        count = max(1, round(settings.batch * (settings.crops[0] / size) ** 2))
        x = self.pictures.draw(count, size, self.generators.host)
        which = int(torch.multinomial(self.shares, 1, generator=self.generators.host))
        x, measurement = self.tasks[which].draw(x, self.generators.device)
        problem = Fidelity(measurement.operator, measurement.likelihood, measurement.y)
        steps = 1 if self.iteration <= settings.short else self.rim.steps
        estimates = self.unrolled(problem, first_estimate(measurement), steps)
        return unrolled_loss(estimates, x, settings.decay).mean()

    @torch.no_grad()
    def _leave_out(self, size: Tensor) -> None:
        """Make the gradient 0 where its norm is not finite, without waiting for the device."""
        usable = size.isfinite()
        for parameter in self.rim.parameters():
            if parameter.grad is not None:
                parameter.grad = torch.where(usable, parameter.grad, 0)
        self.unusable += ~usable

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average toward the weights; quickly at first, while they change quickly."""
        decay = min(self.settings.average, (1 + self.iteration) / (10 + self.iteration))
        for old, new in zip(self.average.parameters(), self.rim.parameters(), strict=True):
            old.lerp_(new, 1 - decay)

    def _gathered(self, state: Tensor) -> Tensor:
        """The generator states of all processes, one per row."""
        together = torch.as_tensor(self.fabric.all_gather(state))
        return together.reshape(-1, state.numel()).cpu()

    def _restore(self, content: dict[str, Any]) -> None:
        self.iteration = content["iteration"]
        self.rim.load_state_dict(content["model"])
        self.average.load_state_dict(content["average"])
        self.optimizer.load_state_dict(content["optimizer"])
        for generator, states in zip(self.generators, content["generators"], strict=True):
            generator.set_state(states[self.fabric.global_rank % len(states)])


def initial_machine(settings: TrainingSettings) -> tuple[RIM, Architecture]:
    """The machine before training: the seed's (the global generator stays), or that of a file.

    Where damping is learned, the file may hold the machine with the fixed damping that it begins
    with.

    Raises:
        ValueError: the file holds another machine than the one that is asked for.
    """
    if settings.start_from is None:
        architecture = settings.architecture or Architecture()
        rim = _untrained(architecture, settings.seed)
    else:
        rim, found, _ = load_weights(settings.start_from)
        architecture = settings.architecture or found
        if found not in (architecture, _with_fixed_damping(architecture)):
            held = architecture_to_json(found)
            raise ValueError(f"{settings.start_from} holds another machine: {held}")
        if found != architecture:
            values, rim = rim.state_dict(), _untrained(architecture, settings.seed)
            rim.load_state_dict(rim.state_dict() | values)
    rim = rim.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return rim, architecture


def _untrained(architecture: Architecture, seed: int) -> RIM:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return architecture.build()


def _with_fixed_damping(architecture: Architecture) -> Architecture:
    features = architecture.features
    learned = isinstance(features, GaussNewtonSettings)
    return replace(architecture, features=features.start) if learned else architecture


def split_parameters(rim: RIM) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Kernels of the hidden layers, and all other parameters (the last layer among them)."""
    named = dict(rim.named_parameters())
    hidden = {n: p for n, p in named.items() if p.ndim >= 2 and len(p) > 4 * rim.colors}
    return list(hidden.values()), [p for n, p in named.items() if n not in hidden]


def step_factor(settings: TrainingSettings, iteration: int) -> float:
    """Linear warm-up, a plateau, then a straight line down to a hundredth."""
    rise = min(1.0, (iteration + 1) / max(1, settings.warm_up))
    left = 1 - iteration / settings.iterations
    return rise * max(0.01, min(1.0, left / settings.cool_down))

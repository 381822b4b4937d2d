"""Files of learned priors: what `learn-prior` writes and `--prior` takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from undegrade.core.functional import Functional
from undegrade.core.image import PerSample
from undegrade.core.operator import Operator
from undegrade.files.atomic import replacing
from undegrade.machines.weight_file import digest
from undegrade.priors.contrast import Contrast
from undegrade.priors.fields_of_experts import FieldsOfExperts
from undegrade.priors.total_variation import TotalVariation

_FORMAT = "undegrade learned prior 1"
_EXPERTS = ("filters", "log_weights", "log_smoothing", "exponents")
_SHIPPED = Path(__file__).parent / "weights"
SHIPPED = ("experts", "convex-experts")
ROUNDED = 0.004  # Huber's δ of total variation, one gray level, as in `Variational`
_EPSILON = 1e-12  # a noise level of 0 would ask for infinite contrast


@final
@dataclass(frozen=True)
class LearnedPrior:
    """A prior in nats for one noise level, from which that for any other follows.

    Arguments:
        tensors: of a field of experts, or the one `weight` of total variation.
        std: of the noise that it was learned from.
        about: what its file says of its making.
    """

    tensors: Mapping[str, Tensor]
    std: float
    about: Mapping[str, str]

    @property
    def weight(self) -> float:
        """In nats at its own noise level: 1 for experts, whose weights are their own."""
        return float(self.tensors["weight"]) if "weight" in self.tensors else 1.0

    def prior(self, std: PerSample) -> Functional:
        """For noise of these levels: the contrast of the picture in units of the noise counts."""
        own = (
            TotalVariation(smoothing=ROUNDED)
            if "weight" in self.tensors
            else FieldsOfExperts(*(self.tensors[name] for name in _EXPERTS))
        )
        return Contrast(own, self.std / std.clamp(min=_EPSILON))


def save_prior(path: Path, learned: LearnedPrior) -> None:
    """Write a prior, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    tensors = {k: t.detach().float().cpu().contiguous() for k, t in learned.tensors.items()}
    said = {"format": _FORMAT, "std": repr(learned.std), "sha256": digest(tensors)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(save(tensors, {**learned.about, **said}))


def load_prior(name: str | Path) -> LearnedPrior:
    """The prior of a file, or one that comes with the package, by its name.

    Raises:
        ValueError: a file that is missing, damaged or of something else.
    """
    path = _SHIPPED / f"{name}.safetensors" if str(name) in SHIPPED else Path(name)
    try:
        with safe_open(path, "pt") as file:
            about = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is not a readable file of a prior ({error}); expected a file that learn-prior "
            f"wrote, or one of {', '.join(SHIPPED)}"
        ) from error
    if about.get("format") != _FORMAT:
        raise ValueError(f"{path} holds no prior that learn-prior wrote")
    if about.get("sha256") != digest(tensors):
        raise ValueError(f"{path} is damaged: its hash does not fit its content")
    learned = LearnedPrior(tensors, float(about["std"]), about)
    learned.prior(torch.ones(1))  # what does not fit together is said here
    return learned


def denoises(operator: Operator, x: Tensor) -> bool:
    """Whether the operator is known to be the identity, for which a prior's own weight is right."""
    gram = operator.gram
    if gram is None:
        return False
    least, most = gram.least(x), gram.largest(x)
    return bool((least == most).all() and (most == 1).all())

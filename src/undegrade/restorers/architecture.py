"""The recurrent inference machines that can be trained, as settings that rebuild them."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

from undegrade.learned.evidence import Evidence, GradientEvidence
from undegrade.learned.preconditioned_evidence import PreconditionedEvidence
from undegrade.learned.rim import RIM
from undegrade.learned.splitting_evidence import SplittingEvidence
from undegrade.networks.gated_cell import GatedCell
from undegrade.networks.multiscale_cell import MultiscaleCell
from undegrade.networks.residual_cell import ResidualCell
from undegrade.parametrizations.pointwise import Affine, Sigmoid


@final
@dataclass(frozen=True, kw_only=True)
class MultiscaleDesign:
    """Ours: preconditioned evidence, a U-shaped cell on unshuffled features. See `MultiscaleCell`.

    Arguments:
        steps: of a restoration.
        colors, widths, before, middle, after: of `MultiscaleCell`.
        errors, floor, inner: of `PreconditionedEvidence`.
    """

    steps: int = 2
    colors: int = 3
    widths: tuple[int, ...] = (64, 96)
    before: tuple[int, ...] = (1,)
    middle: int = 3
    after: tuple[int, ...] = (1,)
    errors: tuple[float, ...] = (0.05, 0.05, 0.03)
    floor: float = 0.003
    inner: int = 3

    def build(self) -> RIM:
        """The machine, with weights drawn from torch's global generator."""
        evidence = PreconditionedEvidence(self.errors, self.floor, self.inner)
        return _multiscale(self, evidence)


@final
@dataclass(frozen=True, kw_only=True)
class SplittingDesign:
    """The same cell on half-quadratic splitting, for more than noise. See `SplittingEvidence`.

    Arguments:
        steps: of a restoration, and in which the expected error falls.
        colors, widths, before, middle, after: of `MultiscaleCell`.
        first, last, strength, floor, inner: of `SplittingEvidence`.
    """

    steps: int = 4
    colors: int = 3
    widths: tuple[int, ...] = (64, 96)
    before: tuple[int, ...] = (1,)
    middle: int = 3
    after: tuple[int, ...] = (1,)
    first: float = 0.15
    last: float = 0.01
    strength: float = 0.23
    floor: float = 0.001
    inner: int = 6

    def build(self) -> RIM:
        """The machine, with weights drawn from torch's global generator."""
        evidence = SplittingEvidence(
            self.steps, self.first, self.last, self.strength, self.floor, self.inner
        )
        return _multiscale(self, evidence)


def _multiscale(design: MultiscaleDesign | SplittingDesign, evidence: Evidence) -> RIM:
    cell = MultiscaleCell(
        evidence.channels(design.colors),
        design.colors,
        design.widths,
        design.before,
        design.middle,
        design.after,
    )
    return RIM(cell, evidence, Affine(), design.colors)


@final
@dataclass(frozen=True, kw_only=True)
class ResidualDesign:
    """LGD: the raw gradient, residual blocks at full resolution, images in [−1, 1].

    Arguments:
        steps: of a restoration.
        colors, width, blocks, state_width, state_blocks: of `ResidualCell`.
        differentiable: whether training differentiates through ∇L.
    """

    steps: int = 10
    colors: int = 3
    width: int = 64
    blocks: int = 4
    state_width: int = 16
    state_blocks: int = 2
    differentiable: bool = True

    def build(self) -> RIM:
        """The machine, with weights drawn from torch's global generator."""
        evidence = GradientEvidence(differentiable=self.differentiable)
        cell = ResidualCell(
            evidence.channels(self.colors),
            self.colors,
            self.width,
            self.blocks,
            self.state_width,
            self.state_blocks,
        )
        return RIM(cell, evidence, Affine(0.5, 0.5), self.colors)


@final
@dataclass(frozen=True, kw_only=True)
class GatedDesign:
    """Putzky and Welling's: the raw gradient in logit space, a convolutional GRU. See `GatedCell`.

    Arguments:
        steps: of a restoration.
        colors, width, state_width: of `GatedCell`.
        margin: of `Sigmoid`.
        differentiable: whether training differentiates through ∇L.
    """

    steps: int = 20
    colors: int = 3
    width: int = 64
    state_width: int = 256
    margin: float = 0.05
    differentiable: bool = True

    def build(self) -> RIM:
        """The machine, with weights drawn from torch's global generator."""
        evidence = GradientEvidence(differentiable=self.differentiable)
        cell = GatedCell(evidence.channels(self.colors), self.colors, self.width, self.state_width)
        return RIM(cell, evidence, Sigmoid(self.margin), self.colors)


Design: TypeAlias = MultiscaleDesign | SplittingDesign | ResidualDesign | GatedDesign
DESIGNS: dict[str, Callable[..., Design]] = {
    "multiscale": MultiscaleDesign,
    "splitting": SplittingDesign,
    "residual": ResidualDesign,
    "gated": GatedDesign,
}


def design_to_json(design: Design) -> str:
    """One line that `design_from_json` makes the design from again."""
    (name,) = (name for name, kind in DESIGNS.items() if kind is type(design))
    return json.dumps({"design": name, **dataclasses.asdict(design)})


def design_from_json(text: str) -> Design:
    """The design that `design_to_json` wrote.

    Raises:
        ValueError: not such a line, or a design or setting that does not exist.
    """
    try:
        fields = json.loads(text)
        kind = DESIGNS[fields.pop("design")]
        frozen = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return kind(**frozen)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not the settings of a recurrent inference machine: {text!r}") from error

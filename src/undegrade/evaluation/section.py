"""One degraded picture and what was made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from undegrade.core.image import Image
from undegrade.core.likelihood import Likelihood
from undegrade.evaluation.restoration import Restoration

_HARDLY_ANY = 1 / 255  # a level that nobody sees
_MISFIT = 2.0  # right knowledge leaves 0.9 to 1.0 times the noise, 1.6 where that is hardly any
DETAIL = 72  # side, in pixels, of the square that is shown enlarged


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: one degraded picture and its restorations.

    Arguments:
        title: such as the file's name.
        known: what is known of the degradation, in words or flags.
        y: the degraded picture.
        restorations: at least one, in the order of the page.
        truth: the picture before degradation, where it is known.
        kernel: of the blur, (h w), where there is one.

    Raises:
        ValueError: there is no restoration.
    """

    title: str
    known: str
    y: Tensor = field(repr=False)
    restorations: tuple[Restoration, ...]
    truth: Image | None = field(default=None, repr=False)
    kernel: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.restorations:
            raise ValueError("a section of the page needs at least one restoration")

    @property
    def best(self) -> Restoration:
        """The restoration with the highest PSNR; the last one where there is no truth."""
        scored = [r for r in self.restorations if r.score.psnr is not None]
        return max(scored, key=lambda r: r.score.psnr or 0.0, default=self.restorations[-1])

    @property
    def enlarged(self) -> Image:
        """The degraded picture in the shape of the restored one."""
        return in_size_of(self.restorations[0].x, self.y)


def in_size_of(x: Image, y: Tensor) -> Image:
    """A degraded picture in the shape of the restored one.

    It is enlarged, or else centered, and continued or cropped; of other channels it is gray.
    """
    if y.shape[1] != x.shape[1]:
        y = y.mean(1, keepdim=True).expand(-1, x.shape[1], -1, -1)
    (h, w), (height, width) = y.shape[2:], x.shape[2:]
    if height % h == 0 and width % w == 0:
        return y.repeat_interleave(height // h, 2).repeat_interleave(width // w, 3)
    top, left = max(h - height, 0) // 2, max(w - width, 0) // 2
    y = y[..., top : top + height, left : left + width]
    down, right = height - y.shape[2], width - y.shape[3]
    pad = (right // 2, right - right // 2, down // 2, down - down // 2)
    return functional.pad(y, pad, mode="replicate")


def strongest_edges(x: Image) -> tuple[float, float]:
    """Center, as fractions of width and height, of the square with the strongest edges in x."""
    gray = x.mean(1, keepdim=True)
    down, right = gray.diff(dim=2).abs()[..., :-1], gray.diff(dim=3).abs()[:, :, :-1]
    if min(down.shape[2:]) < DETAIL:
        return 0.5, 0.5
    energy = functional.avg_pool2d(down + right, DETAIL, stride=DETAIL // 4)
    row, column = divmod(int(energy.flatten().argmax()), energy.shape[3])
    corner = torch.tensor([column, row]) * (DETAIL // 4) + DETAIL / 2
    across, along = (corner / torch.tensor([x.shape[3], x.shape[2]])).tolist()
    return across, along


def level_found(likelihood: Likelihood) -> str:
    """The noise that was found in a picture, and what to try where that is hardly any."""
    levels = [level.max().item() for _, level in likelihood.named_buffers()]
    said, worst = f"noise found: {noise_in_words(likelihood)}", max(levels)
    if len(levels) > 1:  # one of them is a fraction
        return said
    if worst <= 1:  # a picture of another range has no 255
        said = f"{said} ({255 * worst:.1f} of 255)"
    if worst > _HARDLY_ANY:
        return said
    return f"{said}, hardly any; where you see more, say how much, as in --noise gaussian:0.06"


def misfit_in_words(misfit: float | None) -> str:
    """What to say of a result that leaves more of the measurement unexplained than noise would."""
    if misfit is None or misfit < _MISFIT:
        return ""
    return (
        f"the picture does not fit this degradation and this noise: what is left unexplained is "
        f"{misfit:.1f} times the noise"
    )


def kernel_kept_in_words(chosen: Mapping[str, float]) -> str:
    """What to say of a result whose method was to correct the kernel, and kept it."""
    if chosen.get("kernel changed", 1.0) > 0:
        return ""
    return (
        "the kernel that was given is kept: no correction of it leaves clearly less structure in "
        "what the restored picture does not explain"
    )


def noise_in_words(likelihood: Likelihood) -> str:
    """Kind and level of the noise, such as "Gaussian, std 0.02"."""
    levels = [
        f"{name} {_level_in_words(level)}"
        for name, level in likelihood.named_buffers()
        if level.is_floating_point()  # which entries are lost is no level
    ]
    return ", ".join([type(likelihood).__name__, *levels])


def _level_in_words(level: Tensor) -> str:
    """A number; of a level for each channel (1 c 1 1) all, and of a map its mean."""
    if level.ndim == 4 and level.shape[2:] == (1, 1):
        return " / ".join(f"{value:.4g}" for value in level[0].flatten().tolist())
    return f"{level.mean().item():.4g}"

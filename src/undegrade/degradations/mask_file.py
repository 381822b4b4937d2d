"""Which entries of a picture a mask marks as lost, whatever it was painted with."""

from typing import Literal, NamedTuple

from torch import Tensor
from torch.nn.functional import max_pool2d

from undegrade.core.image import Image
from undegrade.files.picture import read_picture

Lost = Literal["auto", "black", "white"]
"""What of a mask's picture is lost; `auto` goes by what the degraded picture shows there."""

_CLEARLY = 0.95  # of white: what is less is a soft edge, under which little of the picture is left
_MOST = 0.5  # of a picture: a mask that loses more may be meant the other way round
_FLAT = 0.02  # of the range: a fill varies by less
_FILLED = 0.9  # of an area has one color where something was painted over it
_SMOOTH = 0.5  # change between neighbors, in standard deviations: noise has 1.1, pictures less


class Marked(NamedTuple):
    """What is seen, (h w), and what to say of the mask."""

    observed: Tensor
    notes: tuple[str, ...]


def read_mask(name: str, y: Image | None = None, lost: Lost = "auto", grow: int = 0) -> Marked:
    """The entries that a mask's picture leaves.

    Only what is clearly marked as seen is seen: soft edges are lost. On a transparent layer, what
    is painted is lost.

    Arguments:
        name: of the picture file.
        y: the degraded picture, by which `auto` decides where more than half were lost.
        lost: the color of what is lost.
        grow: pixels by which the lost areas are widened to all sides.

    Raises:
        OSError, ValueError: the file is no picture, or leaves nothing.
    """
    picture = read_picture(name)
    alpha, notes = picture.alpha, list[str]()
    if alpha is not None and bool((alpha != alpha.flatten()[0]).any()):
        notes.append("the mask has a transparent layer: what is painted on it is lost")
        black = white = (alpha > 1 - _CLEARLY)[0, 0]
    else:
        top = picture.pixels.max().clamp(min=1e-6)
        levels = picture.pixels[0] / top
        black, white = levels.amin(0) < _CLEARLY, levels.amax(0) > 1 - _CLEARLY
    gone = _decided(black, white, y, lost, notes)
    if grow > 0:
        gone = max_pool2d(gone[None].float(), 2 * grow + 1, 1, grow)[0] > 0
    if bool(gone.all()):
        raise ValueError(f"the mask {name} leaves nothing of the picture")
    if not bool(gone.any()):
        notes.append("the mask marks nothing as lost")
    return Marked(~gone, tuple(notes))


def _decided(black: Tensor, white: Tensor, y: Image | None, lost: Lost, notes: list[str]) -> Tensor:
    """What is lost: what is black, unless white was said or the picture shows it."""
    share = black.float().mean().item()
    if lost != "auto" or share <= _MOST or black is white:
        return white if lost == "white" else black
    if y is not None and y.shape[2:] == black.shape and _shown(y[0], black, white):
        notes.append(
            f"white marks what is lost: the picture goes on under the black {share:.0%} of the "
            f"mask; --lost black has it the other way round"
        )
        return white
    notes.append(
        f"{share:.0%} of the picture is marked as lost, all that is not white in the mask; where "
        f"white is lost, say it: --lost white"
    )
    return black


def _shown(y: Tensor, black: Tensor, white: Tensor) -> bool:
    """Whether the picture is there where the mask is black, and not painted over."""
    under_black, under_white = y[:, ~white], y[:, ~black]
    if under_black.shape[1] == 0 or _is_filled(under_black):
        return False
    return _is_filled(under_white) or _is_smooth(y, ~white)


def _is_filled(entries: Tensor) -> bool:
    """Whether most entries (c, n) have one color."""
    if entries.shape[1] == 0:
        return False
    middle = entries.median(1, keepdim=True).values
    return bool(((entries - middle).abs().amax(0) < _FLAT).float().mean() > _FILLED)


def _is_smooth(y: Tensor, area: Tensor) -> bool:
    """Whether neighbors in the area differ less than pixels far apart, as in any picture."""
    pairs = area[:, 1:] & area[:, :-1]
    if not bool(pairs.any()):
        return False
    change = (y[..., 1:] - y[..., :-1])[:, pairs].abs().mean()
    return bool(change < _SMOOTH * y[:, area].std(1).mean())

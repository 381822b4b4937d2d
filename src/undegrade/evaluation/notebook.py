"""How a result and a measurement show themselves in a notebook."""

import html
from typing import Any

from torch import Tensor

from undegrade.core.measurement import Measurement
from undegrade.core.solver import Result
from undegrade.evaluation.picture_uri import data_uri
from undegrade.evaluation.section import in_size_of, noise_in_words

_PIXELS = 500_000  # of one picture: notebooks are saved with what they show
_MOST = 4  # images of a batch
_SLIDE = "this.previousElementSibling.style.clipPath=`inset(0 ${100-this.value}% 0 0)`"


def html_of(thing: Result[Any] | Measurement) -> str:
    """Pictures with a few words about them; one that may be dragged from before to after."""
    if isinstance(thing, Measurement):
        return _of_measurement(thing)
    return "".join(_of_sample(thing, k) for k in range(min(len(thing.x), _MOST)))


def _of_measurement(measurement: Measurement) -> str:
    y, noise = measurement.y, noise_in_words(measurement.likelihood)
    words = f"{' × '.join(map(str, y.shape))}; {measurement.operator}; {noise}"
    return "".join(_block(_image(y[k : k + 1]), words) for k in range(min(len(y), _MOST)))


def _of_sample(result: Result[Any], k: int) -> str:
    chosen = [f"{name} {float(value[k]):.4g}" for name, value in result.chosen.items()]
    words = [result.status[k].value, f"{result.iterations[k]} iterations", *chosen]
    after = result.x[k : k + 1]
    before = None if result.x0 is None else result.x0[k : k + 1]
    return _block(_slider(before, after), "; ".join(words))


def _slider(before: Tensor | None, after: Tensor) -> str:
    if before is None or not _picture(before) or not _picture(after):
        return _image(after)
    size = 'style="position:absolute;inset:0;width:100%;height:100%"'
    left = f'<img {size[:-1]};clip-path:inset(0 50% 0 0)" src="{_uri(in_size_of(after, before))}">'
    slide = f'<input type="range" value="50" oninput="{_SLIDE}" {size[:-1]};opacity:.35">'
    ratio = f"{after.shape[3]} / {after.shape[2]}"
    return (
        f'<div style="position:relative;max-width:{after.shape[3]}px;aspect-ratio:{ratio}">'
        f'<img {size} src="{_uri(after)}">{left}{slide}</div>'
    )


def _image(x: Tensor) -> str:
    return f'<img src="{_uri(x)}">' if _picture(x) else ""


def _picture(x: Tensor) -> bool:
    return x.ndim == 4 and x.shape[1] in (1, 3)


def _uri(x: Tensor) -> str:
    return data_uri(x, _PIXELS)


def _block(picture: str, words: str) -> str:
    return f"<figure>{picture}<figcaption>{html.escape(words)}</figcaption></figure>"

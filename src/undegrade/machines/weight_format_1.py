"""Weight files of format 1, where four designs said what one architecture says now."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from undegrade.machines.architecture import (
    ARCHITECTURES,
    Architecture,
    architecture_from_json,
    architecture_to_json,
)
from undegrade.networks.multiscale_cell import MultiscaleSettings

FORMAT = "undegrade recurrent inference machine 1"
CONVENTION = "images in [0, 1]; evidence in image units; noise as standard deviation"

_CELL = MultiscaleSettings(middle=3)  # of every such file
_DESIGNS = {
    "multiscale": replace(ARCHITECTURES["denoising"], cell=_CELL, steps=2),
    "splitting": replace(ARCHITECTURES["universal"], cell=_CELL),
    "residual": ARCHITECTURES["residual"],
    "gated": ARCHITECTURES["gated"],
}
"""What a design was where it does not say otherwise."""
_PLACES = {
    "inner": ("features", "cg_iterations"),
    "strength": ("features", "strength"),
    "floor": ("features", "floor"),
    "differentiable": ("features", "differentiable"),
    "errors": ("features", "schedule", "values"),
    "first": ("features", "schedule", "first"),
    "last": ("features", "schedule", "last"),
    "margin": ("parametrization", "margin"),
    "steps": ("steps",),
    "colors": ("colors",),
}
"""Where a field of a design stands in an architecture; all others are the cell's."""


def read_design(text: str) -> Architecture:
    """The architecture of a design, as format 1 wrote it.

    Raises:
        ValueError: not the settings of a design.
    """
    try:
        design = cast("object", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not the settings of a design: {error}") from error
    fields = cast("dict[str, Any]", dict(design)) if isinstance(design, dict) else {}
    usual = _DESIGNS.get(str(fields.pop("design", None)))
    if usual is None:
        raise ValueError(f"not the settings of a design that there was: {text[:60]}")
    settings = json.loads(architecture_to_json(usual))
    for field, value in fields.items():
        *path, last = _PLACES.get(field, ("cell", field))
        place = settings
        for step in path:
            place = place.get(step, {})
        place[last] = value
    return architecture_from_json(json.dumps(settings))


def renamed(tensors: Mapping[str, Tensor], text: str, colors: int) -> dict[str, Tensor]:
    """The weights under their new names, with the inputs of the cell in their new order.

    `multiscale` was shown the noise level before the expected error; everything is shown them the
    other way round now. Its cell is unshuffled: an input stands for four.
    """
    new = {name.replace("evidence.", "features.", 1): t for name, t in tensors.items()}
    if json.loads(text)["design"] == "multiscale":
        weight, level = new["cell.enter.weight"], 4 * 4 * colors
        before, first, second, after = weight.tensor_split((level, level + 4, level + 8), 1)
        new["cell.enter.weight"] = torch.cat((before, second, first, after), 1)
    return new

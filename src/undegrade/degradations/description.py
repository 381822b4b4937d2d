"""A degradation as JSON: everything that is needed to undo it, and nothing that can run."""

import base64
import binascii
import json
import math
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast, get_args, get_type_hints

import numpy as np
import torch
from torch import Tensor

from undegrade.core.likelihood import Likelihood
from undegrade.degradations.degradation import Degradation, Scene
from undegrade.degradations.jpeg import Jpeg
from undegrade.degradations.kernel_file import checked_kernel
from undegrade.degradations.named_operator import NamedOperator
from undegrade.files.atomic import replacing
from undegrade.files.complaint import in_short
from undegrade.likelihoods import noises
from undegrade.operators.blur import Blur
from undegrade.operators.downsampling import Downsample
from undegrade.operators.mask import Mask
from undegrade.operators.padding import Boundary
from undegrade.operators.response import Response
from undegrade.operators.response_curves import CURVES

_FORMAT, _VERSION = "undegrade degradation", 2
_READABLE = (1, 2)  # the first knew nothing of rounding, cameras and JPEG

_MOST_ENTRIES = 1 << 30  # of a picture: no description makes a small file ask for all the memory
_LARGEST_FACTOR = 16  # of a downsampling that can still be undone

Json = dict[str, Any]
T = TypeVar("T")


def write_description(path: str | Path, degradation: Degradation) -> None:
    """Write a degradation as a JSON file, whole or not at all.

    Raises:
        OSError: the file cannot be written.
        ValueError: the degradation differs from image to image of a batch.
    """
    text = json.dumps(description_of(degradation), ensure_ascii=False, indent=1, allow_nan=False)
    with replacing(path) as file:
        file.write(text.encode())


def read_description(path: str | Path) -> Degradation:
    """The degradation in a JSON file that `write_description` wrote.

    Raises:
        OSError: there is no such file, or it cannot be opened.
        ValueError: it is no description, or describes nothing possible.
    """
    content = Path(path).read_bytes()
    try:
        data = json.loads(content, parse_constant=_refuse_constant)
        return degradation_from(_typed(data, dict, "the description"))
    except (ValueError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a description of a degradation: {in_short(error)}"
        ) from error


def description_of(degradation: Degradation) -> Json:
    """A degradation as JSON data; kernels to full float32 precision, masks packed to bits.

    Raises:
        ValueError: the degradation differs from image to image of a batch.
    """
    channels, height, width = degradation.shape
    blur, downsample, mask = degradation.blur, degradation.downsample, degradation.mask
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "picture": {"channels": channels, "height": height, "width": width},
        "operator": None if degradation.first is None else _first_data(degradation.first),
        "blur": None if blur is None else _blur_data(blur),
        "downsample": None if downsample is None else {"factor": downsample.factor},
        "mask": None if mask is None else _mask_data(mask),
        "noise": None if degradation.likelihood is None else _noise_data(degradation.likelihood),
        "bits": degradation.bits,
        "response": None if degradation.response is None else _response_data(degradation.response),
        "scene": degradation.scene,
        "saturation": degradation.saturation,
        "jpeg": None if degradation.jpeg is None else _jpeg_data(degradation.jpeg),
    }


def degradation_from(data: Json) -> Degradation:
    """The inverse of `description_of`.

    Raises:
        ValueError: a field is missing, of another type, or has an impossible value.
    """
    if data.get("format") != _FORMAT or data.get("version") not in _READABLE:
        raise ValueError(
            f"expected format {_FORMAT!r} version 1 or 2, "
            f"got {data.get('format')!r} version {data.get('version')!r}"
        )
    picture = _field(data, "picture", dict)
    channels, height, width = (_field(picture, k, int) for k in ("channels", "height", "width"))
    if channels * height * width > _MOST_ENTRIES:
        raise ValueError(f"a picture of {channels} × {height}×{width} entries is too large")
    first, blur, downsample, mask, noise, response, jpeg = (
        None if data.get(key) is None else _field(data, key, dict)
        for key in ("operator", "blur", "downsample", "mask", "noise", "response", "jpeg")
    )
    return Degradation(
        shape=(channels, height, width),
        first=None if first is None else _first_from(first),
        blur=None if blur is None else _blur_from(blur),
        downsample=None if downsample is None else _downsample_from(downsample),
        mask=None if mask is None else _mask_from(mask),
        likelihood=None if noise is None else _noise_from(noise),
        bits=None if data.get("bits") is None else _field(data, "bits", int),
        response=None if response is None else _response_from(response),
        scene=_scene_from(data.get("scene", "linear")),
        saturation=None if data.get("saturation") is None else _field(data, "saturation", bool),
        jpeg=None if jpeg is None else _jpeg_from(jpeg),
    )


def _first_data(first: NamedOperator) -> Json:
    return {"name": first.name, "numbers": list(first.numbers)}


def _first_from(data: Json) -> NamedOperator:
    numbers = [_typed(n, float, "a number") for n in _field(data, "numbers", list)]
    return NamedOperator(_field(data, "name", str), tuple(numbers))


def _blur_data(blur: Blur) -> Json:
    psf = _of_one_image(blur.psf, 4, "kernel")
    values = [_short(v) for v in psf.flatten().tolist()]
    return {"boundary": blur.boundary, "shape": list(psf.shape), "values": values}


def _blur_from(data: Json) -> Blur:
    boundary = _field(data, "boundary", str)
    if boundary not in get_args(Boundary):
        raise ValueError(f"boundary must be one of {', '.join(get_args(Boundary))}, got {boundary}")
    values, shape = _field(data, "values", list), _shape(data)
    if len(values) != math.prod(shape):
        raise ValueError(f"a kernel of {_times(shape)} does not have {len(values)} values")
    numbers = [_typed(value, float, "a kernel value") for value in values]
    psf = torch.tensor(numbers, dtype=torch.float64).reshape(shape)
    return Blur(checked_kernel(psf, "blur"), cast(Boundary, boundary))


def _downsample_from(data: Json) -> Downsample:
    factor = _field(data, "factor", int)
    if factor > _LARGEST_FACTOR:
        raise ValueError(f"the factor of a downsampling is at most {_LARGEST_FACTOR}, got {factor}")
    return Downsample(factor)


def _mask_data(mask: Mask) -> Json:
    observed = _of_one_image(mask.observed, 4, "mask")
    if not bool(((observed == 0) | (observed == 1)).all()):
        raise ValueError("only a mask of zeros and ones can be described")
    bits = np.packbits(observed.cpu().numpy().astype(np.bool_))
    return {"shape": list(observed.shape), "bits": base64.b64encode(bits.tobytes()).decode()}


def _mask_from(data: Json) -> Mask:
    shape = _shape(data)
    try:
        packed = base64.b64decode(_field(data, "bits", str), validate=True)
    except binascii.Error as error:
        raise ValueError(f"the bits of the mask are not base64: {error}") from error
    if len(packed) != (math.prod(shape) + 7) // 8:
        raise ValueError(f"a mask of {_times(shape)} does not have {len(packed)} bytes")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=math.prod(shape))
    return Mask(torch.from_numpy(bits.astype(np.bool_)).reshape(shape))


def _noise_data(likelihood: Likelihood) -> Json:
    for noise in noises().values():
        if type(likelihood) is noise.kind:
            buffers = dict(likelihood.named_buffers())
            one = {name: _of_one_image(buffers[name], 1, "noise") for name in noise.levels}
            return {"kind": noise.name} | {name: _levels(value) for name, value in one.items()}
    raise ValueError(f"noise of the kind {type(likelihood).__name__} has no description")


def _levels(values: Tensor) -> float | list[float]:
    """One number, or one for every channel (c 1 1)."""
    if values.numel() == 1:
        return _short(values.item())
    if values.shape != (len(values), 1, 1):
        raise ValueError(f"a map of noise levels {tuple(values.shape)} has no description")
    return [_short(value) for value in values.flatten().tolist()]


def _noise_from(data: Json) -> Likelihood:
    kind, kinds = _field(data, "kind", str), noises()
    if kind not in kinds:
        raise ValueError(f"noise must be one of {', '.join(kinds)}, got {kind}")
    return kinds[kind](*(_level_from(data, name) for name in kinds[kind].levels))


def _level_from(data: Json, name: str) -> float | Tensor:
    if not isinstance(data.get(name), list):
        return _field(data, name, float)
    numbers = [_typed(n, float, f"a number of {name!r}") for n in data[name]]
    return torch.tensor(numbers).reshape(1, -1, 1, 1)


def _response_data(response: Response) -> Json:
    for name, kind in CURVES.items():
        if type(response.curve) is kind:
            return {"kind": name} | {k: _listed(v) for k, v in vars(response.curve).items()}
    raise ValueError(f"a response of the kind {response.curve} has no description")


def _listed(value: object) -> object:
    return list(cast("tuple[float, ...]", value)) if isinstance(value, tuple) else value


def _response_from(data: Json) -> Response:
    kind = _field(data, "kind", str)
    if kind not in CURVES:
        raise ValueError(f"the response must be one of {', '.join(CURVES)}, got {kind}")
    values = {
        name: _numbers(data, name) if hint == tuple[float, ...] else _field(data, name, float)
        for name, hint in get_type_hints(CURVES[kind]).items()
    }
    return Response(CURVES[kind](**values))


def _numbers(data: Json, key: str) -> tuple[float, ...]:
    return tuple(_typed(value, float, f"a number of {key!r}") for value in _field(data, key, list))


def _scene_from(value: object) -> Scene:
    if value not in get_args(Scene):
        raise ValueError(f"the scene must be one of {', '.join(get_args(Scene))}, got {value}")
    return cast(Scene, value)


def _jpeg_data(jpeg: Jpeg) -> Json:
    return {"tables": [list(t) for t in jpeg.tables], "subsampling": jpeg.subsampling}


def _jpeg_from(data: Json) -> Jpeg:
    tables = [
        tuple(_typed(n, int, "a step") for n in _typed(table, list, "a table of steps"))
        for table in _field(data, "tables", list)
    ]
    if len(tables) != 2:
        raise ValueError(f"a JPEG has two tables here, got {len(tables)}")
    return Jpeg((tables[0], tables[1]), _field(data, "subsampling", int))


def _of_one_image(values: Tensor, batched: int, what: str) -> Tensor:
    """Without the dimension of the batch, where there is one."""
    if values.ndim < batched:
        return values.detach()
    if len(values) != 1:
        raise ValueError(f"a description is of one image, the {what} is of {len(values)}")
    return values.detach()[0]


def _short(value: float) -> float:
    """The decimal number with the fewest digits that is the same in float32."""
    return float(str(np.float32(value)))


def _shape(data: Json) -> list[int]:
    shape = [_typed(n, int, "a size") for n in _field(data, "shape", list)]
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(f"expected a shape (rows, columns) or (channels, rows, columns): {shape}")
    return shape


def _times(shape: list[int]) -> str:
    return "×".join(map(str, shape))


def _field(data: Json, key: str, kind: type[T]) -> T:
    if key not in data:
        raise ValueError(f"the field {key!r} is missing")
    return _typed(data[key], kind, f"the field {key!r}")


def _typed(value: object, kind: type[T], what: str) -> T:
    """The value if it is of a JSON type; a whole number is a number too."""
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ValueError(f"{what} must be {_NAMES[kind]}, got {_NAMES.get(type(value), 'null')}")
    return value


_NAMES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")

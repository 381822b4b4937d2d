"""What a problem's variable is: a batch of vectors, usually images in the nominal range [0, 1]."""

from typing import TypeAlias, overload

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Vector: TypeAlias = Float[Tensor, "b *n"]
"""A point of the space that a problem lives in, one per sample: image, kernel, weights."""
Image: TypeAlias = Float[Tensor, "b c h w"]
PerSample: TypeAlias = Float[Tensor, "b"]
Number: TypeAlias = Float[Tensor, ""]


def dot(x: Vector, y: Vector) -> PerSample:
    """⟨x, y⟩ of every pair in the batch."""
    return (x * y).flatten(1).sum(1)


def norm(x: Vector) -> PerSample:
    """‖x‖₂ of every sample in the batch."""
    return dot(x, x).sqrt()


@overload
def per_sample(value: float, like: Tensor) -> float: ...
@overload
def per_sample(value: Tensor, like: Tensor) -> Tensor: ...
def per_sample(value: float | Tensor, like: Tensor) -> float | Tensor:
    """A number per sample, shaped `(b, 1, …)` so that it multiplies `like`; a float stays one."""
    if isinstance(value, Tensor):
        return value.to(like).reshape(-1, *(1,) * (like.ndim - 1))
    return value


def require_tensor(x: object, whose: str) -> None:
    """Refuse what is no tensor.

    Raises:
        ValueError: it is something else; the message begins with whose it is.
    """
    if not isinstance(x, Tensor):
        raise ValueError(f"{whose} takes a tensor, {no_tensor(x)}")


def no_tensor(x: object) -> str:
    """The end of a sentence about something that should have been a tensor."""
    kind = f"{type(x).__module__}.{type(x).__qualname__}"
    return f"got {kind}: torch.from_numpy(array.copy()) makes a tensor"


def require_shape(prediction: Tensor, y: Tensor) -> None:
    """Refuse a variable of which the operator makes something else than was measured.

    A measurement of one channel may hold labels, which are predicted by scores of many.

    Raises:
        ValueError: the shapes differ.
    """
    rows = prediction[:, :1] if y.ndim == 4 and y.shape[1] == 1 else prediction
    if rows.shape != y.shape:
        raise ValueError(
            f"the variable has another shape than was restored from: the operator makes "
            f"{tuple(prediction.shape)} of it, where {tuple(y.shape)} was measured"
        )


def require_double_or_single(x: Tensor) -> None:
    """Refuse half precision, which transforms do not know.

    Raises:
        ValueError: x has it.
    """
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"transforms are taken in single or double precision, got {x.dtype}: give x.float()"
        )


def round_up(size: int, divisor: int) -> int:
    """The smallest multiple of the divisor that is not less."""
    return -(-size // divisor) * divisor


def select(mask: Bool[Tensor, "b"], x: Tensor, y: float | Tensor) -> Tensor:
    """The samples of x where the mask is true, those of y elsewhere."""
    return torch.where(mask.reshape(-1, *(1,) * (x.ndim - 1)), x, y)


def followed(*tensors: Tensor) -> bool:
    """Whether automatic differentiation, or a transform of torch.func, follows one of these."""
    recorded = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    # torch.func has no public question for this
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor  # pyright: ignore
    return recorded or any(map(wrapped, tensors))


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """The quotient a / b, and 0 where b is 0; differentiable there too."""
    zero = b == 0
    return torch.where(zero, 0.0, a / torch.where(zero, 1.0, b))

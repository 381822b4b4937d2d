"""What an image is here: a float batch `(b, c, h, w)`, nominal range [0, 1]."""

from typing import TypeAlias, overload

from jaxtyping import Float
from torch import Tensor

Image: TypeAlias = Float[Tensor, "b c h w"]
PerSample: TypeAlias = Float[Tensor, "b"]
Number: TypeAlias = Float[Tensor, ""]


def dot(x: Float[Tensor, "b *n"], y: Float[Tensor, "b *n"]) -> PerSample:
    """⟨x, y⟩ of every pair in the batch."""
    return (x * y).flatten(1).sum(1)


def norm(x: Float[Tensor, "b *n"]) -> PerSample:
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

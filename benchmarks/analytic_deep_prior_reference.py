"""The one-dimensional analytic deep prior as its authors run it, rewritten from the papers.

Used by `benchmarks.analytic_deep_prior_1d`, with whose loss and counts it is compared: gradient
steps of 0.02 on B from B = A, the lower problem by proximal gradient steps of 1/‖BᵀB + α₂‖.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

RATE, INNER, LAYERS = 0.02, 500, 50
SETTLED = 1e-6  # relative change of x at which the lower iteration of IFT ends


class Point(NamedTuple):
    """Where a method stands: processor seconds, loss ½‖Ax − y‖², lower iterations so far."""

    seconds: float
    loss: float
    lower: int


class Lower(NamedTuple):
    """½‖Bx − y‖² + α₁‖x‖₁ + α₂/2 ‖x‖²."""

    B: Tensor
    y: Tensor
    alpha: tuple[float, float]

    def step(self, x: Tensor, t: float) -> Tensor:
        """One proximal gradient step of length t."""
        ahead = x - t * (self.B.T @ (self.B @ x - self.y))
        return torch.nn.functional.softshrink(ahead, t * self.alpha[0]) / (1 + t * self.alpha[1])


def ift(A: Tensor, y: Tensor, alpha: tuple[float, float], steps: int) -> Iterator[Point]:
    """Implicit differentiation: a dense system on the rows with |p| ≥ α₁."""
    B, x, began, count = A.clone(), torch.zeros_like(y), time.process_time(), 0
    for _ in range(steps):
        lower, t = Lower(B, y, alpha), 1 / float(torch.linalg.matrix_norm(B, 2)) ** 2
        for _ in range(INNER):
            before, x = x, lower.step(x, t)
            count += 1
            if float((x - before).norm()) <= SETTLED * float(x.norm()):
                break
        misfit = A @ x - y
        yield Point(time.process_time() - began, 0.5 * float(misfit @ misfit), count)
        rows = ((1 - alpha[1]) * x - B.T @ (B @ x - y)).abs() >= alpha[0]
        v = torch.zeros_like(x)
        active = B[:, rows]
        system = active.T @ active + alpha[1] * torch.eye(active.shape[1], dtype=B.dtype)
        v[rows] = torch.linalg.solve(system, (A.T @ misfit)[rows])
        B = B - RATE * (torch.outer(y - B @ x, v) - torch.outer(B @ v, x))


def lista(A: Tensor, y: Tensor, alpha: tuple[float, float], steps: int) -> Iterator[Point]:
    """Fifty layers, one gradient step, and the output is the next input."""
    B, x, began, count = A.clone(), torch.zeros_like(y), time.process_time(), 0
    for _ in range(steps):
        t = 1 / float(torch.linalg.matrix_norm(B, 2)) ** 2
        B.requires_grad_()
        lower = Lower(B, y, alpha)
        for _ in range(LAYERS):
            x = lower.step(x, t)
        count += LAYERS
        misfit = A @ x - y
        loss = 0.5 * misfit @ misfit
        yield Point(time.process_time() - began, float(loss.detach()), count)
        (gradient,) = torch.autograd.grad(loss, B)
        B, x = (B - RATE * gradient).detach(), x.detach()

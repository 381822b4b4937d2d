"""A network whose weights stay as they were drawn: only where it draws from is fitted."""

import torch
from torch import Tensor, nn


class RandomProjector(nn.Module):
    """z ↦ N(z + d): d, and the scale and shift of each normalization, are all that learns.

    The convolutions of N become buffers, so that the backward pass computes no gradients of them.
    One that is 0 everywhere stays a parameter: nothing would be drawn through it. There is less to
    overfit with, and less that can be drawn: fine texture comes late or never.

    References:
        Li, Wang, Zhuang and Sun, Deep random projector: accelerated deep image prior (2023),
        section 3.

    Arguments:
        network: N, with batch normalization, of random weights; it is changed.
        channels: the first channels of the code, those that are random.
        size: height and width of the code.
    """

    def __init__(self, network: nn.Module, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.moved = nn.Parameter(torch.zeros(1, channels, *size))
        self.network = network
        for module in network.modules():
            if not isinstance(module, nn.BatchNorm2d):
                _freeze(module)

    def forward(self, code: Tensor) -> Tensor:
        drawn, guide = code.split((len(self.moved[0]), code.shape[1] - len(self.moved[0])), 1)
        return self.network(torch.cat((drawn + self.moved, guide), 1))


def _freeze(module: nn.Module) -> None:
    """Turn the module's own parameters into buffers."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        if bool(parameter.any()):
            delattr(module, name)
            module.register_buffer(name, parameter.detach())

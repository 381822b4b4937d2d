"""What the shipped learned method makes of a measurement with gross errors of unknown place."""

from dataclasses import replace

import torch

from undegrade.core.image import Image
from undegrade.core.measurement import Measurement
from undegrade.likelihoods.gaussian import Gaussian
from undegrade.likelihoods.laplace import Laplace
from undegrade.operators.mask import Mask
from undegrade.restorers.recurrent_inference import RecurrentInference
from undegrade.restorers.variational import Variational

# Under an L1 fidelity a feature of constant value goes where weight · perimeter > area: at 2, any
# narrower than 8 pixels both ways. Less leaves pairs of neighboring corrupted entries.
_WEIGHT = 2.0
# What an estimate may miss without being called corruption, in turn: the first estimate is coarse.
_GROSS = (0.15, 0.12, 0.1, 0.08, 0.06, 0.05)
_STD = 0.02  # of what is left in the other entries: detail that the estimate misses


def robust_start(measurement: Measurement) -> Image:
    """Total variation with an L1 fidelity, then the learned method without what it contradicts.

    Each round takes the entries that the last estimate misses by more than a bound for lost, and
    restores from the others. Neither fraction nor values nor places of the corruption are needed.
    It fails for corruption that looks like a part of the scene, such as thick letters.

    Raises:
        ValueError: the operator is not linear, or the learned method does not take the picture.
    """
    y = measurement.y
    absolute = replace(measurement, likelihood=Laplace(1.0).to(y))
    x = Variational(weight=_WEIGHT).restore(absolute).x
    for bound in _GROSS:
        sound = (y - measurement.operator(x)).abs() <= bound
        rest = Measurement(
            torch.where(sound, y, torch.zeros_like(y)),
            Mask(sound) @ measurement.operator,
            Gaussian(_STD).to(y),
        )
        x = RecurrentInference().restore(rest).x
    return x

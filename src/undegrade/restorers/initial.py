"""Where every method begins."""

import torch
from torch import Tensor

from undegrade.core.image import Image
from undegrade.core.likelihood import NoiseModel
from undegrade.core.measurement import Measurement, check_picture, require_measurement
from undegrade.operators.mask import Mask


def first_estimate(measurement: Measurement) -> Image:
    """The operator's own estimate, from a measurement whose lost entries were filled from around.

    Raises:
        ValueError: this is no measurement, or has another shape, so that the estimate is no batch
            of pictures.
    """
    require_measurement(measurement)
    x0 = measurement.operator.initial(complete(measurement))
    check_picture(x0)
    return x0


def complete(measurement: Measurement) -> Tensor:
    """y, its lost entries filled from around.

    Lost are the entries whose precision is 0, such as pure black and white under salt and pepper;
    labels have no precision, and stay.
    """
    y, likelihood = measurement.y, measurement.likelihood
    if not isinstance(likelihood, NoiseModel):
        return y
    lost = likelihood.precision(y) <= 0  # the operator fills in what it lost
    return torch.where(lost, Mask(~lost).initial(y), y) if bool(lost.any()) else y

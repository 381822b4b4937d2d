"""Published experiments; `EXPERIMENTS` is what `undegrade reproduce` names."""

from undegrade.experiments.double_overparametrization import DoubleOverparametrizationExperiment
from undegrade.experiments.experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    "double-overparametrization": DoubleOverparametrizationExperiment(),
}

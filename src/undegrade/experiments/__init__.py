"""Published experiments; `EXPERIMENTS` is what `undegrade reproduce` names."""

from undegrade.experiments.analytic_deep_prior_1d import AnalyticDeepPrior1dExperiment
from undegrade.experiments.analytic_deep_prior_2d import AnalyticDeepPrior2dExperiment
from undegrade.experiments.double_overparametrization import DoubleOverparametrizationExperiment
from undegrade.experiments.experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    "analytic-deep-prior-1d": AnalyticDeepPrior1dExperiment(),
    "analytic-deep-prior-2d": AnalyticDeepPrior2dExperiment(),
    "double-overparametrization": DoubleOverparametrizationExperiment(),
}

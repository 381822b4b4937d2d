"""Complete methods; `RESTORERS` and what other packages add are what `--method` names."""

import functools

from undegrade.core.extensions import with_extensions
from undegrade.core.measurement import Restorer
from undegrade.restorers.analytic_deep_prior import AnalyticDeepPrior
from undegrade.restorers.automatic import Automatic
from undegrade.restorers.plug_and_play import PlugAndPlay
from undegrade.restorers.quadratic import Quadratic
from undegrade.restorers.recurrent_inference import RecurrentInference
from undegrade.restorers.richardson_lucy import RichardsonLucy
from undegrade.restorers.robust_untrained_network import RobustUntrainedNetwork
from undegrade.restorers.untrained_network import UntrainedNetwork
from undegrade.restorers.variational import Variational
from undegrade.restorers.wiener import Wiener

RESTORERS: dict[str, type[Restorer]] = {
    "auto": Automatic,
    "variational": Variational,
    "quadratic": Quadratic,
    "wiener": Wiener,
    "richardson-lucy": RichardsonLucy,
    "learned": RecurrentInference,
    "deep-image-prior": UntrainedNetwork,
    "double-overparametrization": RobustUntrainedNetwork,
    "plug-and-play": PlugAndPlay,
    "analytic-deep-prior": AnalyticDeepPrior,
}


@functools.cache
def restorers() -> dict[str, type[Restorer]]:
    """The methods of this package, and those of the entry points `undegrade.restorers`.

    Raises:
        ValueError: an entry point takes a name that is taken, cannot be loaded, or is no method.
    """
    return with_extensions(RESTORERS, "undegrade.restorers", _is_method, "class with `restore`")


def _is_method(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Restorer)

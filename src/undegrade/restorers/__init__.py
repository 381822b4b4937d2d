"""Complete methods; `RESTORERS` and what other packages add are what `--method` names."""

import functools
import importlib.metadata

from undegrade.core.measurement import Restorer
from undegrade.restorers.analytic_deep_prior import AnalyticDeepPrior
from undegrade.restorers.automatic import Automatic
from undegrade.restorers.plug_and_play import PlugAndPlay
from undegrade.restorers.quadratic import Quadratic
from undegrade.restorers.recurrent_inference import RecurrentInference
from undegrade.restorers.robust_untrained_network import RobustUntrainedNetwork
from undegrade.restorers.untrained_network import UntrainedNetwork
from undegrade.restorers.variational import Variational
from undegrade.restorers.wiener import Wiener

RESTORERS: dict[str, type[Restorer]] = {
    "auto": Automatic,
    "variational": Variational,
    "quadratic": Quadratic,
    "wiener": Wiener,
    "learned": RecurrentInference,
    "deep-image-prior": UntrainedNetwork,
    "double-overparametrization": RobustUntrainedNetwork,
    "plug-and-play": PlugAndPlay,
    "analytic-deep-prior": AnalyticDeepPrior,
}
_GROUP = "undegrade.restorers"


@functools.cache
def restorers() -> dict[str, type[Restorer]]:
    """The methods of this package, and those that installed packages bring by an entry point.

    A package adds its dataclass with a line of its pyproject.toml:

        [project.entry-points."undegrade.restorers"]
        sharpen = "mypackage:Sharpen"

    Raises:
        ValueError: an entry point takes a name that is taken, cannot be loaded, or is no method.
    """
    found = dict(RESTORERS)
    for entry in importlib.metadata.entry_points(group=_GROUP):
        where = f"the entry point {entry.name} = {entry.value} of {_GROUP}"
        if entry.name in found:
            raise ValueError(f"{where} has the name of another method")
        try:
            method = entry.load()
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{where} cannot be loaded: {error}") from error
        if not isinstance(method, type) or not issubclass(method, Restorer):
            raise ValueError(f"{where} is no class with a method `restore`")
        found[entry.name] = method
    return found

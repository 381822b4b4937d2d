"""Complete methods; `RESTORERS` is what `--method` names."""

from undegrade.core.measurement import Restorer
from undegrade.restorers.plug_and_play import PlugAndPlay
from undegrade.restorers.quadratic import Quadratic
from undegrade.restorers.recurrent_inference import RecurrentInference
from undegrade.restorers.robust_untrained_network import RobustUntrainedNetwork
from undegrade.restorers.untrained_network import UntrainedNetwork
from undegrade.restorers.variational import Variational
from undegrade.restorers.wiener import Wiener

RESTORERS: dict[str, type[Restorer]] = {
    "variational": Variational,
    "quadratic": Quadratic,
    "wiener": Wiener,
    "learned": RecurrentInference,
    "deep-image-prior": UntrainedNetwork,
    "double-overparametrization": RobustUntrainedNetwork,
    "plug-and-play": PlugAndPlay,
}

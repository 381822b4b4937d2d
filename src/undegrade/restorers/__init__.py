"""Complete methods; `RESTORERS` is what `--method` names."""

from undegrade.core.restorer import Restorer
from undegrade.restorers.variational import Variational

RESTORERS: dict[str, type[Restorer]] = {
    "variational": Variational,
}

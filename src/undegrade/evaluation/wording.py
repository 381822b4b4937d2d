"""How reports name what is known of a picture."""

from undegrade.core.likelihood import Likelihood
from undegrade.degradations.flags import DegradationFlags

_HARDLY_ANY = 1 / 255  # a level that nobody sees


def flags_of(specification: DegradationFlags) -> list[str]:
    """The flags that differ from their defaults, as they are typed: ["--noise", "gaussian:0.1"]."""
    usual = vars(DegradationFlags())
    given = {name: value for name, value in vars(specification).items() if value != usual[name]}
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]


def level_found(likelihood: Likelihood) -> str:
    """The noise that was found in a picture, and what to try where that is hardly any."""
    worst = max(level.max().item() for _, level in likelihood.named_buffers())
    said = f"noise found: {noise_in_words(likelihood)} ({255 * worst:.1f} of 255)"
    if worst > _HARDLY_ANY:
        return said
    return f"{said}, hardly any; where you see more, say how much, as in --noise gaussian:0.06"


def noise_in_words(likelihood: Likelihood) -> str:
    """Kind and level of the noise, such as "Gaussian, std 0.02"."""
    levels = [f"{name} {level.mean().item():.4g}" for name, level in likelihood.named_buffers()]
    return ", ".join([type(likelihood).__name__, *levels])

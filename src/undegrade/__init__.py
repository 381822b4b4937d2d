"""Restores images whose degradation is understood: y = φ(x) + η.

The public names stand in `__init__.pyi`, one line each. A name's file is loaded when the name is
first used, so that `undegrade --help` does not wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

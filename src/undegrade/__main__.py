"""`python -m undegrade` is the command `undegrade`."""

import sys

from undegrade.cli.dispatch import main

if __name__ == "__main__":
    sys.exit(main())

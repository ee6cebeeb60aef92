"""``python -m jde_lightning``: the same door as the console script, for torchrun."""

import sys

from jde_lightning.cli import main

if __name__ == "__main__":
    sys.exit(main())

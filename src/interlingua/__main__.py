"""``python -m interlingua`` is the command ``interlingua``."""

import sys

from interlingua.cli import main

sys.exit(main())

"""``python -m interlingua`` is the command ``interlingua``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit code, also if Ctrl-C is pressed while its modules are imported."""
    try:
        from interlingua.cli import main as run

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())

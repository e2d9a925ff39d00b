"""What the score of a verdict is computed from."""

from __future__ import annotations

__all__ = ["DECISIVE"]

# The names of these measurements. The score is how near the weakest of them comes to its limit.
DECISIVE = ("transport_excess", "refit_agreement", "cycle", "held_out_pairs")

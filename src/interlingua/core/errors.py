"""The exceptions and warnings of interlingua.

Every message says what arrived, what was needed and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "InputError",
    "InputWarning",
    "InterlinguaError",
    "MissingExtraError",
    "OutputExistsError",
    "SpaceMismatchWarning",
    "TrainingError",
]


class InterlinguaError(Exception):
    """Base class of every error that interlingua raises deliberately."""


class InputError(InterlinguaError, ValueError):
    """The data or an argument cannot be used; nothing was computed or written."""


class OutputExistsError(InterlinguaError, FileExistsError):
    """The output exists and overwriting it was not requested."""


class MissingExtraError(InterlinguaError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class TrainingError(InterlinguaError, RuntimeError):
    """A training run cannot continue; the message says what to change."""


class SpaceMismatchWarning(UserWarning):
    """Vectors given to a translator do not look like the space it was fitted on."""


class InputWarning(UserWarning):
    """The input can be used, but has a property that is worth checking."""

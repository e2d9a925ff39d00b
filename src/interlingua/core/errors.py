"""The exceptions and warnings of interlingua.

Every message says what arrived, what was needed and what to do about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = [
    "InputError",
    "InputWarning",
    "InterlinguaError",
    "MissingExtraError",
    "OutputExistsError",
    "SpaceMismatchError",
    "SpaceMismatchWarning",
    "TrainingError",
    "UnusableRowError",
]

_ARGUMENT = re.compile(r"\{(\w+)(?:=([^}]*))?\}")


class InterlinguaError(Exception):
    """Base class of every error raised on purpose by interlingua.

    Attributes:
        remedy: what to do about it. It names arguments in braces, as in ``"Overwrite it with {force}."``, so that
            Python, the command line and the web page can each write them in their own syntax.
    """

    def __init__(self, message: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the message with its remedy, arguments as Python writes them."""
        return self.render(lambda name, value: f"{name}={value}")

    def render(self, argument: Callable[[str, str], str]) -> str:
        """Return the message with its remedy.

        Args:
            argument: returns how an argument is written, from its name and its value (``"True"`` by default).
        """
        remedy = _ARGUMENT.sub(lambda match: argument(match[1], match[2] or "True"), self.remedy)
        return f"{super().__str__()} {remedy}".strip()

    def rename_argument(self, name: str, other: str) -> None:
        """Write ``other`` for an argument in the remedy: the name by which a caller took the value it passed on."""
        self.remedy = _ARGUMENT.sub(lambda m: m[0].replace(name, other, 1) if m[1] == name else m[0], self.remedy)

    def name_origins(self, origins: Mapping[str, str]) -> None:
        """Say where the data of an argument come from, if the message says what the argument is or has.

        Args:
            origins: files or addresses by the names of the arguments.
        """
        if not (self.args and isinstance(self.args[0], str)):
            return
        message = self.args[0]
        for name, origin in origins.items():
            found = re.search(rf"(?<![\w.-]){re.escape(name)}(?=;| has | have | and )", message)
            if found and name != origin:
                message = f"{message[: found.end()]} ({origin}){message[found.end() :]}"
        self.args = (message, *self.args[1:])


class InputError(InterlinguaError, ValueError):
    """The data or an argument cannot be used; nothing was computed or written."""


class UnusableRowError(InputError):
    """A row has no vector that can be used: it is missing, zero, not finite or of another width, or cannot be read.

    Fits, evaluations and migrations can leave such rows out; other work needs every row.
    """


class SpaceMismatchError(InputError):
    """Vectors given to a translator cannot be of the space it was fitted on; nothing was translated.

    Attributes:
        rows: [n, d], the rows that were compared with the space.
    """

    def __init__(self, message: str, rows: object = None, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.rows = rows

    def at(self, place: str) -> SpaceMismatchError:
        """Return the same error with the place of the rows in front, such as a file and the numbers of its rows."""
        return SpaceMismatchError(f"{place}: {self.args[0]}", self.rows, self.remedy)


class OutputExistsError(InterlinguaError, FileExistsError):
    """The output exists and overwriting it was not requested."""


class MissingExtraError(InterlinguaError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class TrainingError(InterlinguaError, RuntimeError):
    """A training run cannot continue; the message says what to change."""


class SpaceMismatchWarning(UserWarning):
    """Vectors given to a translator may not be of the space it was fitted on, or their content is of another kind."""


class InputWarning(UserWarning):
    """The input can be used, but has a property that is worth checking."""

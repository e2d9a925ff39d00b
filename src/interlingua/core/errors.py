"""The exceptions and warnings of interlingua.

Every message says what arrived, what was needed and what to do about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = [
    "FUNCTIONS",
    "InputError",
    "InputWarning",
    "InterlinguaError",
    "MissingExtraError",
    "OutputExistsError",
    "SpaceMismatchError",
    "SpaceMismatchWarning",
    "TrainingError",
    "UnusableRowError",
    "cause_of",
    "named_side",
]

_ARGUMENT = re.compile(r"\{(\w+)(?:=([^}]*))?\}")
# Placeholders that are functions in Python and options of the same command on the command line.
FUNCTIONS = ("catch_up", "rollback")
# Around the name of a side in a message: a control character, which no name or text of a message has.
_SIDE = "\x1f"


def named_side(name: str) -> str:
    """Return the name of a side for the message of an error, marked as a place that `name_origins` can complete."""
    return f"{_SIDE}{name}{_SIDE}"


def cause_of(error: Exception) -> str:
    """Return the message of an exception of other code, on one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]


class InterlinguaError(Exception):
    """Base class of every error raised on purpose by interlingua.

    Attributes:
        remedy: what to do about it. It names arguments in braces, as in ``"Overwrite it with {force}."``, so that
            Python, the command line and the web page can each write them in their own syntax. ``"{rollback}"`` and
            ``"{catch_up}"`` stand for functions, ``"{rollback=allow_loss}"`` for one with an argument.
    """

    def __init__(self, message: str = "", remedy: str = "") -> None:
        super().__init__(message.replace(_SIDE, ""))
        self.remedy = remedy
        self._marked = message

    def __str__(self) -> str:
        """Return the message with its remedy, arguments as Python writes them."""
        return self.render(_as_python)

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

    def put_in_front(self, words: str) -> None:
        """Begin the message with other words, such as the name of the input that it is about."""
        self._marked = f"{words}{self._marked}"
        self.args = (self._marked.replace(_SIDE, ""), *self.args[1:])

    def name_origins(self, origins: Mapping[str, str]) -> None:
        """Say where the data of a side come from, at the places that the message marks by `named_side`.

        Args:
            origins: files or addresses by the names of the sides.
        """
        if _SIDE not in self._marked:
            return
        message = self._marked
        for name, origin in origins.items():
            message = message.replace(named_side(name), name if name == origin else f"{name} ({origin})")
        self._marked = message
        self.args = (message.replace(_SIDE, ""), *self.args[1:])


def _as_python(name: str, value: str) -> str:
    """Return an argument, or the call of a function, as Python writes it."""
    if name not in FUNCTIONS:
        return f"{name}={value}"
    return f"{name}()" if value == "True" else f"{name}({value}=True)"


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

"""Check that a text is one SQL condition, which cannot change the rest of the statement that it is put into."""

from __future__ import annotations

import re

from interlingua.core.errors import InputError

# Quoted texts and names, comments, and the characters that could end a condition. Inside quotes and comments they do
# not end it.
_TOKENS = re.compile(
    r"""
    \b[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*`
    | (?<![\w$])\$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | --[^\n]* | /\*.*?\*/ | (?P<mark>[();])
    """,
    re.DOTALL | re.VERBOSE,
)


def check_condition(text: str, where: str) -> str:
    """Return a condition; refuse one that is empty, or that would end early, so that its rest would be other SQL.

    Args:
        text: the condition.
        where: the address, for the message.

    Raises:
        InputError: the condition is empty, holds NUL, a semicolon, or a bracket that it does not open.
    """
    problem, depth = "" if text.strip() else "is empty", 0
    for token in _TOKENS.finditer(text):
        depth += {"(": 1, ")": -1}.get(token["mark"] or "", 0)
        if token["mark"] == ";":
            problem = problem or "holds a semicolon outside of quotes"
        if depth < 0:
            problem = problem or "closes a bracket that it does not open"
    if "\0" in text:
        problem = "holds a NUL character"
    if problem:
        raise InputError(f"{where}: the condition {text!r} {problem}; one SQL condition is needed.")
    return text

"""Whether a text may hold a secret, so that no message repeats it."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_NAMED_SECRET = re.compile(
    r"(?:pass|pwd|secret|token|credential|api[_-]?key|auth|bearer|private[_-]?key)[\w-]*['\"]?\s*[=:]", re.IGNORECASE
)
# A signature in a URL gives access like a password.
_SIGNATURE = re.compile(r"[?&;](?:[\w-]*-)?sig(?:nature)?=", re.IGNORECASE)
# user:password@host, also where the password is at the end of a part of the URL.
_USER_INFO = re.compile(r":.*@", re.DOTALL)


def may_hold_secret(text: str) -> bool:
    """Return whether a path or an address has the form of one with a password, a key or a token in it.

    A user's name before ``@`` is none. Forms are seen through percent encoding and full-width characters.
    """
    forms = {text}
    for _ in range(3):
        forms |= {unquote(form) for form in forms}
        forms |= {unicodedata.normalize("NFKC", form) for form in forms}
    return any(map(_has_the_form, forms))


def _has_the_form(text: str) -> bool:
    rest = _DRIVE.sub("", text) if _DRIVE.match(text) else _SCHEME.sub("", text, count=1)
    return "://" in rest or bool(_USER_INFO.search(rest)) or bool(_NAMED_SECRET.search(text) or _SIGNATURE.search(text))

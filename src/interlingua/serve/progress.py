"""How far a fit is, from the events that it logs, and how far a translation is, from the last event that it wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from interlingua.core.atomic import write_text
from interlingua.core.progress import ShownProgress
from interlingua.core.whole import FIT_SHARES, bounded_share, fit_share
from interlingua.core.wording import describe_step

__all__ = ["FitLog", "last_rows", "written_rows"]

# No file from a browser has a name that begins with a dot.
_ROWS = ".rows.json"


class FitLog:
    """The log of a running fit, read as it grows.

    Args:
        path: the log.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0
        self._name: str | None = None
        self._steps: list[str] = []
        self._share, self._at = 0.0, 0.0

    def follow(self, seconds: float) -> None:
        """Read what was added.

        Args:
            seconds: since the fit began.
        """
        if not self._path.exists():
            return
        with self._path.open("rb") as stream:
            stream.seek(self._read)
            added, _, _ = stream.read().rpartition(b"\n")
        self._read += len(added) + bool(added)
        for line in added.splitlines():
            event = json.loads(line)
            if event["event"] == "progress":
                self._take(event, seconds)

    def steps(self) -> list[str]:
        """Return what the fit has done so far, the newest last; consecutive steps of one name are one entry."""
        return self._steps

    def progress(self, seconds: float) -> dict[str, float | None]:
        """Return the estimated share of the fit that is done and the seconds that are left, or ``None`` for both.

        The estimate lies between the share of the last step that ended and that of the next.

        Args:
            seconds: since the fit began.
        """
        if not self._share:
            return {"share": None, "seconds_left": None}
        following = min((share for share in FIT_SHARES.values() if share > self._share), default=0.99)
        share, left = bounded_share(seconds, share=self._share, at=self._at, following=following)
        return {"share": round(share, 3), "seconds_left": round(left)}

    def _take(self, event: dict[str, Any], seconds: float) -> None:
        # The page shows the time left of the whole fit, beside which that of a step would be misread.
        step = {key: value for key, value in event.items() if key not in {"seconds_left", "total_seconds_left"}}
        name, words = str(event.get("step")), describe_step(step)
        if name == self._name:
            self._steps[-1] = words
        else:
            self._name = name
            self._steps.append(words)
        share = fit_share(step) or FIT_SHARES.get(name, 0.0)
        if share > self._share:
            self._share, self._at = share, seconds


def written_rows(folder: Path) -> ShownProgress:
    """Return what writes how far the work on the rows of a file is into its folder, for `last_rows`."""

    def write(event: str, **facts: Any) -> None:
        if event == "rows":
            write_text(folder / _ROWS, json.dumps(facts))

    return ShownProgress("Translating", write)


def last_rows(folder: Path) -> dict[str, Any] | None:
    """Return phase, rows done, number of rows and seconds left of the work in a folder; None before it has begun."""
    try:
        return dict(json.loads((folder / _ROWS).read_text("utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None

"""Checkpoints, replaced atomically and read without executing anything in them; and the file of metrics."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from interlingua.core.atomic import atomic_file, write_text
from interlingua.core.errors import InputError
from interlingua.core.spaces import fingerprint
from interlingua.core.wording import listed
from interlingua.neural import schedule
from interlingua.neural.settings import Settings
from interlingua.neural.terms import LossTerm

__all__ = ["Metrics", "check_new", "check_same", "exists", "identity", "naming_damage", "read", "write"]

_FILE = "checkpoint.pt"
_METRICS = "metrics.jsonl"
# What reading a damaged file raises, in torch and in the code that takes the values.
_DAMAGE = (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, pickle.UnpicklingError)


def write(folder: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint in ``folder``; a crash at any moment leaves the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / _FILE) as fresh:
        try:
            torch.save(state, fresh)
        except RuntimeError as error:
            # The message of torch names neither the file nor the full disk.
            free = shutil.disk_usage(folder).free
            raise OSError(
                f"{folder / _FILE} could not be written; {free:,} bytes are free there. The previous checkpoint, if "
                "there is one, is intact."
            ) from error


def read(folder: Path) -> dict[str, Any] | None:
    """Return the checkpoint in ``folder``, on the CPU, or None where there is none.

    Raises:
        InputError: it cannot be read.
    """
    path = folder / _FILE
    if not path.is_file():
        return None
    with naming_damage(folder):
        saved = torch.load(path, map_location="cpu", weights_only=True)
        step = saved["at"]
        if not isinstance(saved["run"], dict) or not isinstance(step, int) or step < 0:
            raise ValueError("no run and step in it")
    return dict(saved)


@contextmanager
def naming_damage(folder: Path) -> Iterator[None]:
    """Say that the checkpoint in ``folder`` is damaged if what it holds cannot be used.

    Raises:
        InputError: an error of reading it, or of taking its values.
    """
    try:
        yield
    except _DAMAGE as error:
        raise InputError(
            f"{folder / _FILE} is damaged ({type(error).__name__} on reading it); remove it to start again."
        ) from error


def exists(folder: Path) -> bool:
    """Return whether ``folder`` holds a checkpoint."""
    return (folder / _FILE).is_file()


def check_new(folder: Path) -> None:
    """Refuse a folder that holds a checkpoint.

    Raises:
        InputError: it does.
    """
    if exists(folder):
        raise InputError(f"{folder} holds a run already.", "Continue it with {resume}, or choose another folder.")


def identity(
    vectors: Mapping[str, npt.NDArray[Any]],
    settings: Settings,
    *,
    seed: int,
    gated: bool,
    terms: Sequence[LossTerm],
    start: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what two runs must share for one to continue the other.

    Args:
        vectors: [n_k, d_k] of each space by name.
        settings: of the run.
        seed: of the run.
        gated: whether the networks have linear skips.
        terms: those beyond the table of terms.
        start: what the start depends on besides the vectors, as plain values by name.
    """
    rows = {name: fingerprint(z) for name, z in vectors.items()}
    widths = {name: int(z.shape[1]) for name, z in vectors.items()}
    weights = {term.name: term.weight_in(settings) for term in terms}
    facts = {"rows": rows, "seed": seed, "widths": widths, "gated": gated, "extra_terms": weights}
    return {**facts, **start, **asdict(settings)}


def check_same(folder: Path, saved: Mapping[str, Any], current: Mapping[str, Any], settings: Settings) -> None:
    """Refuse to continue a run of other vectors or with other settings; only ``steps`` may be raised.

    Args:
        folder: of the run.
        saved: its checkpoint, as `read` returns it.
        current: the `identity` of the run that is to continue it.
        settings: of that run.

    Raises:
        InputError: the two runs differ.
    """
    stored = saved["run"]
    different = [name for name in {**current, **stored} if stored.get(name) != current.get(name)]
    if different == ["steps"]:
        scheduled = schedule.depends_on_length(settings)
        if not scheduled and current["steps"] >= saved["at"]:
            return
        why = f"{', '.join(scheduled)} changes at fractions of the steps" if scheduled else "it has taken more"
        of = f"{stored.get('steps')} steps that cannot become one of {current['steps']}"
        advice = f"Repeat {{steps={stored.get('steps')}}} to resume it, or choose another folder."
        raise InputError(f"{folder} holds a run of {of}: {why}.", advice)
    if "rows" in different:
        before = dict(stored.get("rows") or {})
        others = [name for name, rows in current["rows"].items() if before.get(name) != rows]
        raise InputError(
            f"{folder} holds a run on other vectors of {listed(others or list(before))}.",
            "Pass the same rows in the same order and of the same dtype to resume it, or choose another folder.",
        )
    if different:
        shown = ", ".join(f"{name} {stored.get(name)!r}, now {current.get(name)!r}" for name in different[:3])
        raise InputError(f"{folder} holds a run with other settings ({shown}); repeat them to resume it.")


class Metrics:
    """A JSONL file with a run's logged losses, one line for each logged step.

    Args:
        folder: of the run; None for no file.
        last_step: lines of later steps are dropped, since a resumed run writes them again.

    Attributes:
        lines: the lines kept from earlier processes of the run.

    Raises:
        InputError: the file is damaged.
    """

    def __init__(self, folder: Path | None, last_step: int) -> None:
        self.lines: list[dict[str, Any]] = []
        self._path = folder / _METRICS if folder else None
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # A damaged byte is named with its line.
        text = self._path.read_text("utf-8", "replace") if self._path.is_file() else ""
        lines = text.splitlines(keepends=True)
        # A line cut short by a crash belongs to a step after the last checkpoint.
        complete = [(line, _parsed(self._path, i, line)) for i, line in enumerate(lines, 1) if line.endswith("\n")]
        kept = [(line, values) for line, values in complete if values["at"] <= last_step]
        write_text(self._path, "".join(line for line, _ in kept))
        self.lines = [values for _, values in kept]

    def __call__(self, line: dict[str, Any]) -> None:
        """Append a line."""
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    """Return the values of a line of metrics."""
    try:
        values = json.loads(line)
        if isinstance(values["at"], int):
            return dict(values)
    except (ValueError, LookupError, TypeError):
        pass
    raise InputError(
        f"{path}: line {number} is damaged. Remove the line, or the file, and resume again; the curves of the run then "
        "lack it."
    )

"""The state behind the page: two files, one fit, and its results."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.atomic import remove_folder
from interlingua.core.errors import InputError
from interlingua.core.neighbors import nearest
from interlingua.core.summaries import own_reasons
from interlingua.core.translator import Translator, load
from interlingua.core.wording import comparison_sign, describe_step
from interlingua.io import create_writer, open_vectors

__all__ = ["Session"]

_SIDES = ("source", "target")
_UNSAFE = re.compile(r"[^\w.-]+")
_BLOCK = 8_192


@dataclass(eq=False)
class _Upload:
    """A file that was accepted, with what searches read from it.

    A search that began before another file was accepted keeps its own upload, so that no rows of the old file are
    kept for the new one.
    """

    path: Path
    rows: int
    width: int

    @cached_property
    def vectors(self) -> FloatArray:
        return np.asarray(open_vectors(self.path).vectors(), np.float32)

    @cached_property
    def unit(self) -> FloatArray:
        return unit_rows(self.vectors)

    @cached_property
    def ids(self) -> Any:
        return open_vectors(self.path).ids()


@dataclass
class Session:
    """Two files of vectors and at most one fit of them.

    The fit is the command ``interlingua fit`` in a process of its own, so that it can be stopped and its memory is
    freed when it ends.

    Attributes:
        folder: holds all files of the session; the caller deletes it.
    """

    folder: Path
    _uploads: dict[str, _Upload] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _stopped: bool = False
    _started: float = 0.0
    _seconds: float = 0.0
    _translator: Translator | None = None
    # Requests arrive in several threads; files and fit must not change between a check and the action that needs it.
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def upload_path(self, side: str, name: str) -> Path:
        """Return the path to upload a file of a side to; :meth:`accept` then makes it the file of that side.

        Raises:
            InputError: there is no such side, or a fit is running.
        """
        if side not in _SIDES:
            raise InputError(f"There is no side {side!r}; the two are source and target.")
        self._check_idle()
        return self.temporary_path(name)

    def temporary_path(self, name: str) -> Path:
        """Return a path in a new folder, with the name that a browser gave made safe."""
        folder = self.folder / "uploads" / secrets.token_hex(8)
        folder.mkdir(parents=True)
        return folder / (_UNSAFE.sub("_", Path(name).name)[-80:].lstrip(".") or "vectors")

    def accept(self, side: str, path: Path) -> dict[str, Any]:
        """Check an uploaded file and make it the file of a side; results of an earlier fit are deleted.

        Raises:
            InputError: it cannot be used, or a fit began during the upload.
        """
        try:
            file = open_vectors(path)
            file.check()
            with self._lock:
                self._check_idle()
                self.clear()
                kept = self.folder / side
                if kept.exists():
                    remove_folder(kept)
                path.parent.rename(kept)
                self._uploads[side] = _Upload(kept / path.name, file.n, file.d)
                return self._described(side)
        except InputError as error:
            shutil.rmtree(path.parent)
            # Readers know the file by its name and not by its temporary folder.
            raise InputError(str(error).replace(f"{path.parent}/", "")) from error

    def start(self, seed: int) -> None:
        """Start a fit.

        Raises:
            InputError: a file is missing, a fit is running, or the seed cannot be used.
        """
        with self._lock:
            self._check_idle()
            missing = [side for side in _SIDES if side not in self._uploads]
            if missing:
                raise InputError(f"There is no {' and no '.join(missing)} yet; drop a file of vectors there.")
            if seed < 0:
                raise InputError(f"seed is {seed}; a whole number from 0 on is needed.")
            self.clear()
            fit = self.folder / "fit"
            fit.mkdir()
            sides = [str(self._uploads[side].path) for side in _SIDES]
            names = {"--out": "translator", "--report": "report.html", "--log": "log.jsonl"}
            written = [part for option, name in names.items() for part in (option, str(fit / name))]
            command = [sys.executable, "-m", "interlingua", "fit", *sides, *written, "--seed", str(seed)]
            with (fit / "out.json").open("wb") as out, (fit / "err.txt").open("wb") as err:
                # A failed fit is shown too; its translator cannot be downloaded without force.
                self._process = subprocess.Popen([*command, "--json", "--allow-failed"], stdout=out, stderr=err)
            self._started = time.monotonic()

    def stop(self) -> None:
        """Stop a running fit."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        self._stopped = True
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def clear(self) -> None:
        """Delete the fit and keep the files."""
        self._process, self._translator, self._stopped = None, None, False
        shutil.rmtree(self.folder / "fit", ignore_errors=True)

    @property
    def running(self) -> bool:
        """Whether a fit is running."""
        return self._process is not None and self._process.poll() is None

    def state(self) -> dict[str, Any]:
        """Return what the page shows: files, phase, time, steps, and verdict or error."""
        with self._lock:
            return self._state()

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"files": {side: self._described(side) for side in self._uploads}, "phase": "waiting"}
        if self._process is None:
            return state
        code = self._process.poll()
        if code is None or not self._seconds:
            self._seconds = time.monotonic() - self._started
        state |= {"seconds": round(self._seconds, 1), "steps": self._steps()}
        fit = self.folder / "fit"
        if code is None:
            self._seconds = 0.0
            state["phase"] = "running"
        elif self._stopped:
            state["phase"] = "stopped"
        elif (fit / "translator").is_dir():
            result = json.loads((fit / "out.json").read_text("utf-8"))
            keep = ("status", "score", "reasons", "evidence", "method", "seed", "seconds")
            verdict = {name: result[name] for name in keep if name in result}
            verdict["reasons"] = own_reasons(verdict)
            verdict["evidence"] = [{**item, "needed": comparison_sign(item)} for item in verdict.get("evidence", ())]
            state |= {"phase": "done", "verdict": verdict}
        else:
            lines = (fit / "err.txt").read_text("utf-8", "replace").strip() or f"The fit ended with exit code {code}."
            state |= {"phase": "refused", "error": " ".join(lines.replace(f"{self.folder}/", "").split())[-1_000:]}
        return state

    def report(self) -> Path:
        """Return the report of the fit.

        Raises:
            InputError: no fit has ended.
        """
        self._card()
        return self.folder / "fit" / "report.html"

    def archive(self, *, force: bool = False) -> Path:
        """Return the translator as a .zip.

        Raises:
            InputError: no fit has ended, or it failed and ``force`` is not given.
        """
        path = self.folder / "fit" / "translator.zip"
        with self._lock:
            self._check_not_failed(force)
            if not path.exists():
                shutil.make_archive(str(path.with_suffix("")), "zip", self.folder / "fit" / "translator")
        return path

    def translate(self, path: Path, *, inverse: bool, force: bool = False, allow_foreign: bool = False) -> Path:
        """Translate a file and return one of the same format, with its ids and other columns.

        Raises:
            SpaceMismatchError: the vectors cannot be of the space that was fitted, and ``allow_foreign`` is not given.
            InputError: as :meth:`archive`, or the file cannot be used.
        """
        with self._lock:
            self._check_not_failed(force)
            translator = self._loaded()
        file = open_vectors(path)
        file.check()
        convert = translator.invert if inverse else translator.translate
        stem, dot, extension = path.name.partition(".")
        out = path.with_name(f"{stem}.translated{dot}{extension}")
        width = translator.card["source" if inverse else "target"]["d"]
        with create_writer(out, d=width, dtype="float32", n=file.n, like=file) as writer:
            for batch in file.batches(_BLOCK):
                writer.write(convert(batch.vectors, allow_foreign=allow_foreign), batch)
        return out

    def search(self, side: str, row: int, k: int) -> dict[str, list[dict[str, Any]]]:
        """Return the rows nearest to a row of one file, in that file and, after translation, in the other.

        Raises:
            InputError: no fit has ended, or no such side or row.
        """
        if side not in _SIDES:
            raise InputError(f"There is no side {side!r}; the two are source and target.")
        other = _SIDES[1 - _SIDES.index(side)]
        with self._lock:
            self._card()
            translator, searched, others = self._loaded(), self._uploads[side], self._uploads[other]
        if not 0 <= row < searched.rows:
            raise InputError(f"{side} has the rows 0 to {searched.rows - 1}; {row} is not among them.")
        vector = searched.vectors[row : row + 1]
        convert = translator.translate if side == "source" else translator.invert
        query = unit_rows(convert(vector, allow_foreign=True))  # a row of the fit
        near = _nearest(searched, searched.unit[row], k + 1)
        return {side: [hit for hit in near if hit["row"] != row][:k], other: _nearest(others, query[0], k)}

    def _loaded(self) -> Translator:
        """Return the translator of the fit; the caller holds the lock."""
        if self._translator is None:
            self._translator = load(self.folder / "fit" / "translator")
        return self._translator

    def _card(self) -> dict[str, Any]:
        state = self.state()
        if state["phase"] != "done":
            raise InputError("No fit has ended yet; fit two files first.")
        return dict(state["verdict"])

    def _check_not_failed(self, force: bool) -> None:
        if self._card()["status"] == "failed" and not force:
            raise InputError(
                "The verdict is failed: this translator is not to be trusted.",
                "To use it nevertheless, choose {force}.",
            )

    def _check_idle(self) -> None:
        if self.running:
            raise InputError("A fit is running; wait for it or cancel it first.")

    def _steps(self) -> list[str]:
        """Return the steps so far, in words."""
        log = self.folder / "fit" / "log.jsonl"
        if not log.exists():
            return []
        events = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.endswith("}")]
        return list(dict.fromkeys(describe_step(event) for event in events if event["event"] == "progress"))

    def _described(self, side: str) -> dict[str, Any]:
        upload = self._uploads[side]
        return {"name": upload.path.name, "rows": upload.rows, "width": upload.width}


def _nearest(upload: _Upload, query: FloatArray, k: int) -> list[dict[str, Any]]:
    rows, cosines = (values[0].tolist() for values in nearest(query[None], upload.unit, k))
    return [
        {"row": row, "id": str(row if upload.ids is None else upload.ids[row].as_py()), "cosine": round(cosine, 4)}
        for row, cosine in zip(rows, cosines, strict=True)
    ]

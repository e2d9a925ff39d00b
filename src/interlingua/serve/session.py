"""The state behind the page: two files, one fit, and its results."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from interlingua._routes import few_rows_note
from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError
from interlingua.core.neighbors import nearest
from interlingua.core.summaries import failure_causes, own_reasons
from interlingua.core.translator import Translator, load
from interlingua.core.wording import COMPARE_SEARCHES, VERDICT_MEANINGS, bar_length, comparison_sign
from interlingua.serve.jobs import command
from interlingua.serve.progress import FitLog
from interlingua.serve.rows import StoredRows, check_sides

__all__ = ["SIDES", "Session", "safe_name"]

SIDES = ("source", "target")
_UNSAFE = re.compile(r"[^\w.-]+")
_LONGEST_NAME = 120


@dataclass(frozen=True, eq=False)
class _Upload:
    """A file that was accepted.

    A search that began before another file was accepted keeps its own upload, so that no rows of the old file are
    kept for the new one.
    """

    path: Path
    facts: Mapping[str, Any]
    stored: StoredRows

    @property
    def rows(self) -> int:
        return int(self.facts["rows"])


@dataclass
class Session:
    """Two files of vectors and at most one fit of them.

    The fit is the command ``interlingua fit`` in a process of its own, so that it can be stopped and its memory is
    freed when it ends. No method but :meth:`search` takes longer for larger files.

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
    _log: FitLog | None = None
    # The newest path of each side that was handed out: an older upload that ends later does not replace it.
    _latest: dict[str, Path] = field(default_factory=dict)
    # Requests arrive in several threads; files and fit must not change between a check and the action that needs it.
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _zipping: threading.Lock = field(default_factory=threading.Lock)

    def upload_path(self, side: str, name: str) -> Path:
        """Return the path to upload a file of a side to; :meth:`accept` then makes it the file of that side.

        Raises:
            InputError: there is no such side, or a fit is running.
        """
        if side not in SIDES:
            raise InputError(f"There is no side {side[:40]!r}; the two are source and target.")
        with self._lock:
            self._check_idle()
            path = self.temporary_path(name)
            self._latest[side] = path
        return path

    def temporary_path(self, name: str) -> Path:
        """Return a path in a new folder, with the name that a browser gave made safe."""
        folder = self.folder / "uploads" / secrets.token_hex(8)
        folder.mkdir(parents=True)
        return folder / safe_name(name)

    def accept(self, side: str, path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Make an uploaded file that can be used the file of a side; results of an earlier fit are deleted.

        Args:
            side: ``source`` or ``target``.
            path: as :meth:`upload_path` returned it.
            facts: as :func:`interlingua.serve.child.read` returned them.

        Raises:
            InputError: a fit began during the upload, or a newer file is on its way to this side.
        """
        with self._lock:
            self.check_newest(side, path)
            self.clear()
            kept = self.folder / side
            self._discard(kept)
            path.parent.rename(kept)
            kept_path = kept / path.name
            self._uploads[side] = _Upload(kept_path, {"name": path.name, **facts}, StoredRows(kept_path))
            return self._described(side)

    def check_newest(self, side: str, path: Path) -> None:
        """Refuse an upload that could not become the file of its side any more, before or after it was read.

        Raises:
            InputError: a fit began during the upload, or a newer file is on its way to this side.
        """
        with self._lock:
            self._check_idle()
            if self._latest.get(side) != path:
                raise InputError(f"A newer file for {side} has been sent, and {path.name} was left out.")

    def start(self, seed: int) -> None:
        """Start a fit.

        Raises:
            InputError: a file is missing, a fit is running, or the seed cannot be used.
        """
        with self._lock:
            self._check_idle()
            missing = [side for side in SIDES if side not in self._uploads]
            if missing:
                raise InputError(f"There is no {' and no '.join(missing)} yet; drop a file of vectors there.")
            if seed < 0:
                raise InputError(f"seed is {seed}; a whole number from 0 on is needed.")
            check_sides({side: upload.stored for side, upload in self._uploads.items()})
            self.clear()
            fit = self.folder / "fit"
            fit.mkdir()
            sides = [str(self._uploads[side].path) for side in SIDES]
            names = {"--out": "translator", "--report": "report.html", "--log": "log.jsonl"}
            written = [part for option, name in names.items() for part in (option, str(fit / name))]
            options = ("--seed", str(seed), "--json", "--allow-failed")
            with (fit / "out.json").open("wb") as out, (fit / "err.txt").open("wb") as err:
                # A failed fit is shown too; its translator cannot be downloaded without force. The process ends when
                # its standard input does, which is when this one ends.
                self._process = subprocess.Popen(
                    command("fit", *sides, *written, *options), stdin=subprocess.PIPE, stdout=out, stderr=err
                )
            self._log = FitLog(fit / "log.jsonl")
            self._started = time.monotonic()

    def stop(self) -> None:
        """Stop a running fit."""
        process = self._process
        if process is None:
            return
        if process.poll() is not None:
            self._close_input()
            return
        self._stopped = True
        process.kill()  # on SIGTERM a fit goes on with the best map so far
        process.wait()
        self._close_input()

    def clear(self) -> None:
        """Delete the fit and keep the files."""
        with self._lock:
            self._close_input()
            self._process, self._translator, self._log, self._stopped = None, None, None, False
            self._discard(self.folder / "fit")

    @property
    def running(self) -> bool:
        """Whether a fit is running."""
        return self._process is not None and self._process.poll() is None

    def state(self) -> dict[str, Any]:
        """Return what the page shows: files, phase, time, steps, and verdict or error."""
        with self._lock:
            return self._state()

    def state_if_free(self) -> dict[str, Any] | None:
        """Return the state without waiting, or None while another thread changes files or fit."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._state()
        finally:
            self._lock.release()

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"files": {side: self._described(side) for side in self._uploads}, "phase": "waiting"}
        if len(self._uploads) == len(SIDES):
            state["note"] = few_rows_note(min(upload.rows for upload in self._uploads.values()))
        if self._process is None:
            return state
        code = self._process.poll()
        if code is None or not self._seconds:
            self._seconds = time.monotonic() - self._started
        state["seconds"] = round(self._seconds, 1)
        if self._log is not None:
            self._log.follow(self._seconds)
            state["steps"] = list(self._log.steps())
        fit = self.folder / "fit"
        if code is None:
            state |= {"phase": "running", "share": None, "seconds_left": None}
            if self._log is not None:
                state |= self._log.progress(self._seconds)
            self._seconds = 0.0
        elif self._stopped:
            state["phase"] = "stopped"
        elif (fit / "translator").is_dir():
            result = json.loads((fit / "out.json").read_text("utf-8"))
            keep = ("status", "score", "reasons", "evidence", "method", "seed", "seconds")
            verdict = {name: result[name] for name in keep if name in result}
            verdict["reasons"] = [*own_reasons(verdict), *failure_causes(result)]
            caution = f" {COMPARE_SEARCHES}" if verdict["status"] == "aligned" else ""
            verdict["meaning"] = VERDICT_MEANINGS[verdict["status"]] + caution
            verdict["evidence"] = [
                {**item, "needed": comparison_sign(item), "bar": round(bar_length(item), 4)}
                for item in verdict.get("evidence", ())
            ]
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
        fit = self.folder / "fit"
        self._check_not_failed(force)
        with self._zipping:
            path = fit / "translator.zip"
            if not path.exists():
                # A name of its own until it is whole; the fit may be deleted meanwhile.
                whole = Path(shutil.make_archive(str(fit / "making"), "zip", fit / "translator"))
                whole.rename(path)
        return path

    def translator_folder(self, *, force: bool = False) -> Path:
        """Return the folder of the translator.

        Raises:
            InputError: as :meth:`archive`.
        """
        self._check_not_failed(force)
        return self.folder / "fit" / "translator"

    def search(self, side: str, row: int, k: int, words: str = "") -> dict[str, Any]:
        """Return the rows nearest to a row of one file, in that file and, after translation, in the other.

        Args:
            side: the file of the row.
            row: its number.
            k: rows to return of each file.
            words: an id or a part of a text; the first row that has it is searched for instead of ``row``.

        Returns:
            Under ``query`` the row that was searched for, under ``source`` and ``target`` lists of rows, nearest first,
            with number, id, text and cosine. One of the two is in the space of the other model after translation.
            Under ``warning`` a sentence if the fit failed.

        Raises:
            InputError: no fit has ended, or no such side or row.
        """
        if side not in SIDES:
            raise InputError(f"There is no side {side[:40]!r}; the two are source and target.")
        other = SIDES[1 - SIDES.index(side)]
        with self._lock:
            status = self._card()["status"]
            searched, others = self._uploads[side], self._uploads[other]
        if words:
            found = searched.stored.find(words)
            if found is None:
                facts = searched.facts
                if not facts.get("texts"):
                    known = "texts" if facts.get("ids") else "texts and no ids"
                    way = "an id" if facts.get("ids") else "the number of a row"
                    raise InputError(
                        f"{facts['name']} has no {known}, so {words[:60]!r} cannot be found in it. Search for {way}."
                    )
                raise InputError(f"No row of {side} has the id {words[:60]!r} or a text with it; try other words.")
            row = found
        if not 0 <= row < searched.rows:
            raise InputError(f"{side} has the rows 0 to {searched.rows - 1}; {row} is not among them.")
        vector = np.asarray(searched.stored.vectors[row : row + 1])
        translator = self._loaded()
        convert = translator.translate if side == "source" else translator.invert
        query = convert(vector, allow_foreign=True)  # a row of the fit
        warning = "The fit failed, so the hits in the space of the other model are meaningless."
        return {
            "query": searched.stored.described(row),
            "warning": warning if status == "failed" else None,
            side: _nearest(searched, vector, k, row),
            other: _nearest(others, query, k, None),
        }

    def _loaded(self) -> Translator:
        """Return the translator of the fit."""
        with self._lock:
            loaded, process = self._translator, self._process
        if loaded is None:
            loaded = load(self.folder / "fit" / "translator")
            with self._lock:
                if self._process is process:
                    self._translator = loaded
        return loaded

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

    def _close_input(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def _described(self, side: str) -> dict[str, Any]:
        return dict(self._uploads[side].facts)

    def _discard(self, folder: Path) -> None:
        """Move a folder away and delete it in the background: large files take a while."""
        if not folder.exists():
            return
        gone = self.folder / "gone" / secrets.token_hex(8)
        gone.parent.mkdir(exist_ok=True)
        folder.rename(gone)
        threading.Thread(target=shutil.rmtree, args=(gone,), kwargs={"ignore_errors": True}).start()


def safe_name(name: str) -> str:
    """Return the last part of a name from a browser, with letters, digits, ``_``, ``.`` and ``-`` only."""
    last = _UNSAFE.sub("_", name.replace("\\", "/").rpartition("/")[2])
    # The end holds the extension; file systems limit names to 255 bytes.
    short = last.encode("utf-8", "ignore")[-_LONGEST_NAME:].decode("utf-8", "ignore")
    return short.lstrip(".-") or "vectors"


def _nearest(upload: _Upload, query: FloatArray, k: int, exclude: int | None) -> list[dict[str, Any]]:
    if upload.rows == 1 and exclude is not None:
        return []
    without = None if exclude is None else np.array([exclude])
    rows, cosines = (values[0].tolist() for values in nearest(query, upload.stored.vectors, k, exclude=without))
    return [
        {**upload.stored.described(row), "cosine": round(cosine, 4)} for row, cosine in zip(rows, cosines, strict=True)
    ]

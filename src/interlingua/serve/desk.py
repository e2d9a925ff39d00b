"""The state behind the page: two files, one fit, and what came of it."""

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
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.neighbors import nearest
from interlingua.core.translator import Translator, load
from interlingua.io import create_writer, open_vectors

SIDES = ("source", "target")
_UNSAFE = re.compile(r"[^\w.-]+")
_BLOCK = 8_192


@dataclass
class Desk:
    """Two files of vectors and at most one fit of them.

    The fit is the command ``interlingua fit`` in a process of its own, so that it can be stopped and so that its memory
    goes when it ends.

    Attributes:
        folder: where everything is kept; whoever made it removes it.
    """

    folder: Path
    _files: dict[str, Path] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _stopped: bool = False
    _started: float = 0.0
    _seconds: float = 0.0
    _translator: Translator | None = None
    _rows: dict[str, FloatArray] = field(default_factory=dict)
    # Requests arrive in several threads; whether a fit runs must not change between the question and the act.
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def place(self, side: str, name: str) -> Path:
        """Return where an arriving file of a side is to be written; :meth:`take` makes it the side's.

        Raises:
            InputError: there is no such side, or a fit is running.
        """
        if side not in SIDES:
            raise InputError(f"There is no side {side!r}; the two are source and target.")
        self._refuse_running()
        folder = self.folder / "arriving" / secrets.token_hex(8)
        folder.mkdir(parents=True)
        return folder / (_UNSAFE.sub("_", Path(name).name)[-80:].lstrip(".") or "vectors")

    def take(self, side: str, path: Path) -> dict[str, Any]:
        """Read an arrived file once and make it the side's; what an earlier fit found goes.

        Raises:
            InputError: it cannot be used, or a fit began while it arrived.
        """
        try:
            file = open_vectors(path)
            file.check()
            with self._lock:
                self._refuse_running()
                self.clear()
                kept = self.folder / side
                shutil.rmtree(kept, ignore_errors=True)
                path.parent.rename(kept)
                self._files[side] = kept / path.name
                return self._described(side)
        except InputError as error:
            shutil.rmtree(path.parent)
            # The folder is this page's affair; the reader knows the file by its name.
            raise InputError(str(error).replace(f"{path.parent}/", "")) from error

    def start(self, seed: int) -> None:
        """Begin to fit.

        Raises:
            InputError: a file is missing, a fit is running, or the seed cannot be used.
        """
        with self._lock:
            self._refuse_running()
            missing = [side for side in SIDES if side not in self._files]
            if missing:
                raise InputError(f"There is no {' and no '.join(missing)} yet; drop a file of vectors there.")
            if seed < 0:
                raise InputError(f"seed is {seed}; a whole number from 0 on is needed.")
            self.clear()
            fit = self.folder / "fit"
            fit.mkdir()
            sides = [str(self._files[side]) for side in SIDES]
            names = {"--out": "translator", "--report": "report.html", "--log": "log.jsonl"}
            written = [part for option, name in names.items() for part in (option, str(fit / name))]
            command = [sys.executable, "-m", "interlingua", "fit", *sides, *written, "--seed", str(seed)]
            with (fit / "out.json").open("wb") as out, (fit / "err.txt").open("wb") as err:
                # A failed fit is shown too; its translator is not handed out.
                self._process = subprocess.Popen([*command, "--json", "--allow-failed"], stdout=out, stderr=err)
            self._started = time.monotonic()

    def stop(self) -> None:
        """End a fit that is running."""
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
        """Forget the fit and keep the files."""
        self._process, self._translator, self._stopped = None, None, False
        self._rows.clear()
        shutil.rmtree(self.folder / "fit", ignore_errors=True)

    @property
    def running(self) -> bool:
        """Whether a fit goes on."""
        return self._process is not None and self._process.poll() is None

    def state(self) -> dict[str, Any]:
        """Return what the page shows: files, phase, time, steps, and verdict or error."""
        with self._lock:
            return self._state()

    def _state(self) -> dict[str, Any]:
        found: dict[str, Any] = {"files": {side: self._described(side) for side in self._files}, "phase": "waiting"}
        if self._process is None:
            return found
        code = self._process.poll()
        if code is None or not self._seconds:
            self._seconds = time.monotonic() - self._started
        found |= {"seconds": round(self._seconds, 1), "steps": self._steps()}
        fit = self.folder / "fit"
        if code is None:
            self._seconds = 0.0
            found["phase"] = "running"
        elif self._stopped:
            found["phase"] = "stopped"
        elif (fit / "translator").is_dir():
            told = json.loads((fit / "out.json").read_text("utf-8"))
            keep = ("status", "score", "reasons", "evidence", "method", "seed", "seconds")
            found |= {"phase": "done", "verdict": {name: told[name] for name in keep if name in told}}
        else:
            lines = (fit / "err.txt").read_text("utf-8", "replace").strip() or f"The fit ended with exit code {code}."
            found |= {"phase": "refused", "error": " ".join(lines.replace(f"{self.folder}/", "").split())[-1_000:]}
        return found

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
        self._refuse_failed(force)
        path = self.folder / "fit" / "translator.zip"
        if not path.exists():
            shutil.make_archive(str(path.with_suffix("")), "zip", self.folder / "fit" / "translator")
        return path

    def translate(self, path: Path, *, inverse: bool, force: bool = False) -> Path:
        """Translate a file and return the .npy.

        Raises:
            InputError: as :meth:`archive`, or the file cannot be used.
        """
        self._refuse_failed(force)
        file = open_vectors(path)
        file.check()
        translator = self._loaded()
        way = translator.invert if inverse else translator.translate
        out = path.with_name(f"{path.name.split('.')[0]}.translated.npy")
        width = translator.card["source" if inverse else "target"]["d"]
        with create_writer(out, d=width, dtype="float32", n=file.n) as writer:
            for batch in file.batches(_BLOCK):
                writer.write(way(batch.vectors))
        return out

    def search(self, side: str, row: int, k: int) -> dict[str, list[dict[str, Any]]]:
        """Return the rows nearest to a row of one file, in that file and, after translation, in the other.

        Raises:
            InputError: no fit has ended, or no such side or row.
        """
        self._card()
        if side not in SIDES:
            raise InputError(f"There is no side {side!r}; the two are source and target.")
        own = self._unit(side)
        if not 0 <= row < len(own):
            raise InputError(f"{side} has the rows 0 to {len(own) - 1}; {row} is not among them.")
        other = SIDES[1 - SIDES.index(side)]
        translator = self._loaded()
        raw = open_vectors(self._files[side]).vectors()[row : row + 1]
        query = unit_rows(translator.translate(raw) if side == "source" else translator.invert(raw))
        near = self._nearest(side, own[row], k + 1)
        return {
            side: [found for found in near if found["row"] != row][:k],
            other: self._nearest(other, query[0], k),
        }

    def _nearest(self, side: str, query: FloatArray, k: int) -> list[dict[str, Any]]:
        rows, cosines = (values[0].tolist() for values in nearest(query[None], self._unit(side), k))
        ids = open_vectors(self._files[side]).ids()
        return [
            {"row": row, "id": str(row if ids is None else ids[row].as_py()), "cosine": round(cosine, 4)}
            for row, cosine in zip(rows, cosines, strict=True)
        ]

    def _unit(self, side: str) -> FloatArray:
        if side not in self._rows:
            self._rows[side] = unit_rows(np.asarray(open_vectors(self._files[side]).vectors(), np.float32))
        return self._rows[side]

    def _loaded(self) -> Translator:
        if self._translator is None:
            self._translator = load(self.folder / "fit" / "translator")
        return self._translator

    def _card(self) -> dict[str, Any]:
        state = self.state()
        if state["phase"] != "done":
            raise InputError("No fit has ended yet; fit two files first.")
        return dict(state["verdict"])

    def _refuse_failed(self, force: bool) -> None:
        if self._card()["status"] == "failed" and not force:
            raise InputError(
                "The verdict is failed: this translator is not to be trusted, so it is not handed out. "
                "Say that you want it all the same."
            )

    def _refuse_running(self) -> None:
        if self.running:
            raise InputError("A fit is running; wait for it or cancel it first.")

    def _steps(self) -> list[str]:
        """Return the names of the steps so far."""
        log = self.folder / "fit" / "log.jsonl"
        if not log.exists():
            return []
        events = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.endswith("}")]
        return list(dict.fromkeys(str(event["step"]) for event in events if event["event"] == "progress"))

    def _described(self, side: str) -> dict[str, Any]:
        file = open_vectors(self._files[side])
        return {"name": self._files[side].name, "rows": file.n, "width": file.d}

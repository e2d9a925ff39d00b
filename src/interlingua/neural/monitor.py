"""Metrics of a run in files: one JSON line for each logged step, and TensorBoard where it is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from interlingua.core.arrays import require
from interlingua.core.errors import InputError
from interlingua.neural.checkpoints import Metrics

__all__ = ["Monitor"]


class Monitor:
    """Writes the metrics of a run.

    Args:
        folder: of the run; None writes nothing.
        tensorboard: also write for TensorBoard, with the tags ``generator/``, ``discriminator/``, ``learning_rate/``,
            ``selection/`` and ``gradient_norm``.

    Attributes:
        gradient_norm: norm of the networks' gradient in the last step, before clipping.

    Raises:
        InputError: TensorBoard without a folder.
    """

    def __init__(self, folder: Path | None, *, tensorboard: bool) -> None:
        if tensorboard and folder is None:
            raise InputError("tensorboard needs a folder to write to; give the run one.")
        self.gradient_norm: Tensor | None = None
        self._folder, self._tensorboard = folder, tensorboard
        self._metrics = Metrics(None, 0)
        self._writer: Any = None

    @property
    def earlier(self) -> list[dict[str, Any]]:
        """Lines of earlier processes of a resumed run, without their times."""
        return [{key: value for key, value in line.items() if key != "seconds"} for line in self._metrics.lines]

    def open(self, step: int) -> None:
        """Open the file and drop lines of steps after ``step``."""
        self._metrics = Metrics(self._folder, step)

    def log(self, line: Mapping[str, Any], *, seconds: float, learning_rates: Mapping[str, float]) -> None:
        """Write one line of losses, with its step as ``at``."""
        self._metrics({**line, "seconds": round(seconds, 3)})
        scalars = {
            name.replace("discriminator.", "discriminator/", 1) if "." in name else f"generator/{name}": value
            for name, value in line.items()
            if name != "at"
        }
        scalars |= {f"learning_rate/{name}": value for name, value in learning_rates.items()}
        if self.gradient_norm is not None and self._tensorboard:
            scalars["gradient_norm"] = float(self.gradient_norm)
        self._write(scalars, line["at"])

    def log_measures(self, step: int, measures: Mapping[str, float]) -> None:
        """Write label-free measurements of a snapshot."""
        self._write({f"selection/{name}": value for name, value in measures.items()}, step)

    def _write(self, scalars: Mapping[str, float], step: int) -> None:
        if not self._tensorboard:
            return
        if self._writer is None:
            # Opened on first use: every writer leaves a file, even an empty one.
            self._writer = require("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(self._folder))
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

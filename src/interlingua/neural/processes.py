"""The device of a run, and what several processes that train together exchange."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interlingua.core.arrays import require
from interlingua.core.backend import resolve_device
from interlingua.core.errors import InputError

__all__ = ["Processes"]


class Processes:
    """This process among those that train together, by accelerate; usually it is the only one.

    Args:
        device: as :func:`interlingua.core.backend.resolve_device` takes it. Several processes that train together on
            ``"cuda"`` use one GPU per process.

    Raises:
        InputError: the device does not exist, or several processes would share the one GPU that is named.

    Attributes:
        device: of this process.
        count: number of processes.
        index: number of this process.
        is_main: whether this process writes the files of the run.
    """

    def __init__(self, device: str) -> None:
        accelerate = require("accelerate", "neural")
        # accelerate keeps one state for each process; a later run in it may choose another device.
        accelerate.state.AcceleratorState._reset_state()
        name = resolve_device(device)
        self._accelerator: Any = accelerate.Accelerator(cpu=name == "cpu", mixed_precision="no")
        # accelerate chooses the GPU of each process, and cannot be given its number.
        self.device: torch.device = torch.device(name) if ":" in name else self._accelerator.device
        self.count = int(self._accelerator.num_processes)
        self.index = int(self._accelerator.process_index)
        self.is_main = bool(self._accelerator.is_main_process)
        if self.count > 1 and ":" in name:
            raise InputError(
                f"device is {device!r} for {self.count} processes, which need one GPU each.", "Use {device='cuda'}."
            )

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        reduced: Tensor = self._accelerator.reduce(values, "mean")
        return reduced

    def gather(self, x: Tensor) -> Tensor:
        """Join a batch [n, d] with those of the other processes; gradients flow back to each."""
        if self.count == 1:
            return x
        joined: list[Tensor] = require("torch.distributed.nn.functional", "neural").all_gather(x)
        return torch.cat(joined)

    def average_gradients(self, module: torch.nn.Module) -> None:
        """Average the gradients of a module over processes, in one message."""
        if self.count == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        joined = self.mean(torch.cat([g.flatten() for g in gradients]))
        for gradient, part in zip(gradients, torch.split(joined, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

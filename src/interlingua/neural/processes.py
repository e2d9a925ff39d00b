"""The device of a run, and what several processes that train together exchange."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interlingua.core.arrays import require
from interlingua.core.errors import InputError

__all__ = ["Processes", "check_device"]


def check_device(device: str) -> None:
    """Refuse a GPU where torch finds none, instead of training on the CPU.

    Raises:
        InputError: the device is neither ``"cpu"`` nor ``"auto"``, and there is no GPU.
    """
    if device not in ("cpu", "auto") and not torch.cuda.is_available():
        raise InputError(f"device is {device!r} and torch finds no GPU; use device='cpu', or 'auto'.")


class Processes:
    """This process among those that train together, by accelerate; usually it is the only one.

    Args:
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for an accelerator where one exists.

    Raises:
        InputError: a GPU is named and torch finds none.

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
        check_device(device)
        cpu = device == "cpu" or not torch.cuda.is_available()
        self._accelerator: Any = accelerate.Accelerator(cpu=cpu, mixed_precision="no")
        self.device: torch.device = self._accelerator.device
        self.count = int(self._accelerator.num_processes)
        self.index = int(self._accelerator.process_index)
        self.is_main = bool(self._accelerator.is_main_process)

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

"""Adam with gradient scaling, one scale for each optimizer; and the moving average of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["ScaledAdam", "moving_average"]


class ScaledAdam:
    """Adam whose losses are scaled in half precision.

    Networks and discriminators each have a scale of their own. A shared one could change between the parts of one
    accumulated step, and their gradients would then be added up in different units.

    Args:
        groups: dicts with ``params`` and ``lr_factor``, a multiple of the learning rate; empty ones are left out.
        lr: learning rate.
        beta1: decay of the first moment; that of the second is 0.999.
        eps: epsilon.
        scaler: scales the losses; disabled in full precision.
    """

    def __init__(
        self, groups: Sequence[Mapping[str, Any]], *, lr: float, beta1: float, eps: float, scaler: torch.amp.GradScaler
    ) -> None:
        used = [dict(group) for group in groups if group["params"]]
        self.scaler = scaler
        self._lr = lr
        self._adam = torch.optim.Adam(used, lr=lr, betas=(beta1, 0.999), eps=eps, fused=True)

    def set_lr(self, factor: float) -> None:
        """Set the learning rate of every group to a multiple of the initial one."""
        for group in self._adam.param_groups:
            group["lr"] = self._lr * group["lr_factor"] * factor

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss."""
        torch.autograd.backward(self.scaler.scale(loss))

    def step(self, max_norm: float | None = None) -> Tensor | None:
        """Take a step, clear the gradients, and return their norm before clipping where it is clipped.

        A step whose scaled gradients overflow is skipped and the scale reduced.
        """
        norm = None
        if max_norm is not None:
            self.scaler.unscale_(self._adam)
            parameters = [p for group in self._adam.param_groups for p in group["params"]]
            norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        self.scaler.step(self._adam)
        self.scaler.update()
        self._adam.zero_grad()
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer and its scale."""
        return {"adam": self._adam.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._adam.load_state_dict(state["adam"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])


def moving_average(module: nn.Module, decay: float) -> AveragedModel:
    """Return the exponential moving average of a module's weights, which starts from the current ones."""
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(module, multi_avg_fn=update).requires_grad_(False)
    # Without this the first update would replace the average by the weights after one step.
    average.n_averaged.fill_(1)
    return average

"""The paper's losses: pure functions of tensors, each a mean over the batch.

Rows are of unit norm [n, d] unless said otherwise. For unit rows ``|a - b|^2 = 2 (1 - cos)``, so the paper's squared
distances are these cosine distances up to a factor of 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from interlingua.core.errors import InputError

__all__ = ["cosine_distance", "discriminator_loss", "generator_loss", "gradient_penalty", "preservation"]


def cosine_distance(x: Tensor, y: Tensor) -> Tensor:
    """Return ``mean(1 - cos(x_i, y_i))``: the reconstruction and the cycle term (paper, equations 4 and 5)."""
    return 1 - (x * y).sum(dim=1).mean()


def preservation(x: Tensor, y: Tensor, *, squared: bool = False, reflected: bool = False) -> Tensor:
    """Return how far the pairwise similarities of y [n, d'] are from those of x [n, d] (vector-space preservation).

    ``mean_ij |x_i x_j - y_i y_j|``, or its square.

    Args:
        x: the rows to preserve; they receive no gradient.
        y: their reconstructions, round trips or translations.
        squared: mean square instead of mean absolute difference (the paper, equation 6).
        reflected: add ``mean_ij |x_i x_j - y_i x_j|``, for which the widths must be equal (the code).
    """
    x = x.detach()
    gram = x @ x.T
    differences = [gram - y @ y.T, *([gram - y @ x.T] if reflected else [])]
    return torch.stack([d.square().mean() if squared else d.abs().mean() for d in differences]).sum()


def discriminator_loss(real: Tensor, fake: Tensor, kind: str, *, smoothing: float = 1.0) -> Tensor:
    """Return what a discriminator minimizes, from its outputs [n, 1] at real and fake rows; real is 0 and fake is 1.

    * ``least-squares``: ``(E real^2 + E (fake - 1)^2) / 2`` (Mao et al., ICCV 2017).
    * ``vanilla``: half the sum of the cross-entropies, with ``smoothing`` as the label of a fake row (Goodfellow et
      al., NeurIPS 2014).
    * ``relativistic``: ``E softplus(real - fake)``; the output at a fake row should be above that at a real one
      (Jolicoeur-Martineau, ICLR 2019).

    Raises:
        InputError: there is no such kind.
    """
    if kind == "least-squares":
        return (real.square().mean() + (fake - 1).square().mean()) / 2
    if kind == "vanilla":
        label = torch.full_like(fake, smoothing)
        cross_entropy = functional.binary_cross_entropy_with_logits
        return (cross_entropy(real, torch.zeros_like(real)) + cross_entropy(fake, label)) / 2
    if kind == "relativistic":
        return functional.softplus(real - fake).mean()
    raise _unknown(kind)


def generator_loss(real: Tensor, fake: Tensor, kind: str) -> Tensor:
    """Return what the networks minimize against a discriminator; arguments as in :func:`discriminator_loss`.

    ``least-squares``: ``E fake^2 / 2``. ``vanilla``: cross-entropy of fake rows labeled as real. ``relativistic``:
    ``E softplus(fake - real)``. Only the last depends on ``real``.

    Raises:
        InputError: there is no such kind.
    """
    if kind == "least-squares":
        return fake.square().mean() / 2
    if kind == "vanilla":
        return functional.softplus(fake).mean()
    if kind == "relativistic":
        return functional.softplus(fake - real).mean()
    raise _unknown(kind)


def gradient_penalty(discriminator: nn.Module, rows: Tensor) -> Tensor:
    """Return the mean squared norm of a discriminator's gradient at rows [n, d].

    R1 at real and R2 at fake rows (Mescheder et al., ICML 2018).
    """
    rows = rows.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(rows).sum(), rows, create_graph=True)
    return gradient.square().sum(dim=1).mean()


def _unknown(kind: str) -> InputError:
    return InputError(f"adversarial loss is {kind!r}; choose from least-squares, vanilla, relativistic.")

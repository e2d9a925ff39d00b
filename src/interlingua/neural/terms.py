"""The terms of the generator's loss: one table, to which a caller can add terms.

A term is a function of what the networks make of one batch, with a name and a weight::

    def pull_to_center(step: StepOutputs) -> Tensor:
        return torch.stack([z.mean(dim=0).square().sum() for z in step.latents]).mean()

    il.align(x, y, method="adversarial", extra_terms=[LossTerm("center", pull_to_center, weight=0.1)])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from interlingua.core.arguments import check_number, check_text, shown
from interlingua.core.errors import InputError, InterlinguaError, cause_of
from interlingua.neural import losses
from interlingua.neural.settings import Settings

__all__ = ["TERMS", "AdversarialPair", "OptionalOutput", "LossTerm", "StepOutputs", "check_terms", "discriminate"]

# A discriminator with the real rows and the fake rows that it tells apart.
AdversarialPair = tuple[nn.Module, Tensor, Tensor]
OptionalOutput = Literal["round_trips", "teacher_targets"]
# Values of ``vsp_form`` that preserve rows in translations; the others do so in reconstructions and in round trips.
_ON_TRANSLATIONS = ("translated", "unpaired")
# Keys of a logged step that no term may take.
_RESERVED = frozenset({"loss", "step", "seed", "at", "of", "seconds", "seconds_left"})


@dataclass(frozen=True, eq=False)
class StepOutputs:
    """What the networks make of one batch of each space; spaces are numbered in the order they were given.

    Attributes:
        rows: unit rows [n, d_k] of each space.
        latents: latents [n, latent] of each space, not normalized.
        reconstructions: unit rows [n, d_k] of each space, decoded from its own latents.
        translations: rows of space j as unit rows [n, d_k] of space k, by (j, k).
        settings: of this step.
        round_trips: rows of space j translated to space k and back, [n, d_j], by (j, k); only for terms that
            declare it in ``needs``.
        teacher_targets: the teacher's translations [n, d_k] of rows of space j, by (j, k); only for terms that
            declare it in ``needs``.
        adversarial_pairs: discriminators with their real and fake rows, by the name of the term.
        instance_noise: length of the noise on discriminator inputs.
        gather: joins a batch with those of the other processes, for terms that compare rows with each other.
    """

    rows: Sequence[Tensor]
    latents: Sequence[Tensor]
    reconstructions: Sequence[Tensor]
    translations: Mapping[tuple[int, int], Tensor]
    settings: Settings = field(default_factory=Settings)
    round_trips: Mapping[tuple[int, int], Tensor] = field(default_factory=dict)
    teacher_targets: Mapping[tuple[int, int], Tensor] = field(default_factory=dict)
    adversarial_pairs: Mapping[str, Sequence[AdversarialPair]] = field(default_factory=dict)
    instance_noise: float = 0.0
    gather: Callable[[Tensor], Tensor] = lambda x: x


@dataclass(frozen=True, eq=False)
class LossTerm:
    """One term of the loss that the networks minimize.

    Attributes:
        name: its key in metrics, traces and reports.
        compute: returns the term as a tensor without dimensions, usually a mean over the batch.
        weight: factor in the loss, or a function of the settings; a term of weight 0 is not computed.
        needs: outputs that are computed for this term only: ``"round_trips"``, ``"teacher_targets"``. All other
            outputs always exist.

    Raises:
        InputError: the weight is negative or not finite, or ``needs`` names no output.
    """

    name: str
    compute: Callable[[StepOutputs], Tensor]
    weight: float | Callable[[Settings], float] = 1.0
    needs: tuple[OptionalOutput, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no step could use."""
        name = check_text(self.name, "name of a loss term")
        if not name.strip() or not name.isprintable():
            raise InputError(f"name of a loss term is {shown(name)}; a name in one line is needed.")
        if not callable(self.compute):
            raise InputError(f"loss term {name!r}: compute is {shown(self.compute)}; a function is needed.")
        if not callable(self.weight):
            object.__setattr__(self, "weight", self._checked(self.weight))
        needs: Any = self.needs
        if not isinstance(needs, tuple | list):
            raise InputError(f"loss term {name!r}: needs is {shown(needs)}; a tuple of names is needed.")
        outputs = get_args(OptionalOutput)
        unknown = [item if isinstance(item, str) else shown(item) for item in needs if item not in outputs]
        if unknown:
            raise InputError(f"loss term {name!r} needs {', '.join(unknown)}; choose from {', '.join(outputs)}.")
        object.__setattr__(self, "needs", tuple(needs))

    def weight_in(self, s: Settings) -> float:
        """Return the weight under the settings of a step.

        Raises:
            InputError: the function of the settings raised an exception, or returned something other than a finite
                number of at least 0.
        """
        weight = self.weight
        return self._checked(self._called("weight", weight, s) if callable(weight) else weight)

    def _called(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function of the term returns, which may be a user's and raise anything."""
        try:
            return function(*arguments)
        except (InterlinguaError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {cause_of(error)}"
            raise InputError(f"loss term {self.name!r}: {what} raised {reason}. Correct this function.") from error

    def _checked(self, weight: Any) -> float:
        try:
            return check_number(weight, "weight", minimum=0)
        except InputError as error:
            raise InputError(
                f"loss term {self.name!r}: weight is {shown(weight)}; a number of at least 0 is needed."
            ) from error

    def value(self, step: StepOutputs) -> Tensor:
        """Return the unweighted term.

        Raises:
            InputError: the function raised an exception, returned something other than one number, or uses an output
                that ``needs`` does not declare.
        """
        undeclared: dict[str, Any] = {
            name: _Undeclared(self.name, name) for name in get_args(OptionalOutput) if name not in self.needs
        }
        value = self._called("compute", self.compute, replace(step, **undeclared))
        if not isinstance(value, Tensor) or value.ndim or value.is_complex():
            shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            kind = " of complex numbers" if isinstance(value, Tensor) and value.is_complex() else ""
            raise InputError(
                f"loss term {self.name!r} returned {shape}{kind}; a tensor without dimensions is needed, such as a "
                "mean over the batch."
            )
        checked: Tensor = value
        return checked


class _Undeclared(dict[tuple[int, int], Tensor]):
    """An output that a term does not declare: it may not have been computed, so every use is refused."""

    def __init__(self, term: str, output: str) -> None:
        super().__init__()
        self._message = f"loss term {term!r} uses {output}; declare it with needs=({output!r},)."

    def _raise(self, *_: Any) -> Any:
        raise InputError(self._message)

    __getitem__ = __iter__ = __len__ = __contains__ = get = keys = values = items = _raise


def discriminate(pair: AdversarialPair, instance_noise: float) -> tuple[Tensor, Tensor]:
    """Return a discriminator's outputs at real and fake rows, all with Gaussian noise of one length added.

    Where several spaces make fake rows for one discriminator, the outputs at real rows are repeated to match.
    """
    discriminator, real, fake = pair
    rows = torch.cat([real, fake])
    if instance_noise:
        rows = rows + instance_noise / math.sqrt(rows.shape[1]) * torch.randn_like(rows)
    at_real, at_fake = discriminator(rows).split([len(real), len(fake)])
    return at_real.repeat(len(fake) // len(real), 1), at_fake


def check_terms(terms: Sequence[Any]) -> tuple[LossTerm, ...]:
    """Return the whole table: the paper's terms and ours, then a caller's.

    Raises:
        InputError: a term is not a `LossTerm`, or its name is taken.
    """
    taken = {term.name for term in TERMS} | _RESERVED
    for term in terms:
        if not isinstance(term, LossTerm):
            raise InputError(f"extra_terms holds {shown(term)}; interlingua.neural.terms.LossTerm objects are needed.")
        if term.name in taken or term.name.startswith("discriminator."):
            raise InputError(f"loss term {term.name!r}: this name is taken; choose another one.")
        taken.add(term.name)
    return (*TERMS, *terms)


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()


def _reconstruction(step: StepOutputs) -> Tensor:
    return _mean(losses.cosine_distance(x, y) for x, y in zip(step.rows, step.reconstructions, strict=True))


def _cycle(step: StepOutputs) -> Tensor:
    return _mean(losses.cosine_distance(step.rows[j], y) for (j, _), y in step.round_trips.items())


def _consensus(step: StepOutputs) -> Tensor:
    return _mean(losses.cosine_distance(y, step.translations[jk]) for jk, y in step.teacher_targets.items())


def _vsp(step: StepOutputs) -> Tensor:
    """Preserve rows in their reconstructions, or in translations where ``vsp_form`` says so."""
    form = step.settings.vsp_form
    if form == "translated":
        return _preservation(step, [(step.rows[j], y) for (j, _), y in step.translations.items()])
    if form == "unpaired":
        return _preservation(step, [(step.rows[k], y) for (_, k), y in step.translations.items()])
    return _preservation(step, list(zip(step.rows, step.reconstructions, strict=True)))


def _cycle_vsp(step: StepOutputs) -> Tensor:
    return _preservation(step, [(step.rows[j], y) for (j, _), y in step.round_trips.items()])


def _preservation(step: StepOutputs, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    form = step.settings.vsp_form
    options = {"squared": form in ("squared", *_ON_TRANSLATIONS), "reflected": form == "reflected"}
    return _mean(losses.preservation(step.gather(x), step.gather(y), **options) for x, y in pairs)


def _cycle_vsp_weight(s: Settings) -> float:
    # These forms have one preservation term, which `_vsp` computes.
    return 0.0 if s.vsp_form in _ON_TRANSLATIONS else s.cycle_vsp


def _space_adversarial(step: StepOutputs) -> Tensor:
    return _generator_adversarial_loss(step, step.adversarial_pairs["adversarial"])


def _latent_adversarial(step: StepOutputs) -> Tensor:
    return _generator_adversarial_loss(step, step.adversarial_pairs["latent_adversarial"])


def _generator_adversarial_loss(step: StepOutputs, pairs: Sequence[AdversarialPair]) -> Tensor:
    """Return the sum over discriminators; real rows, which may be latents, receive no gradient."""
    kind = step.settings.adversarial_loss
    values = [
        losses.generator_loss(*discriminate((net, real.detach(), fake), step.instance_noise), kind)
        for net, real, fake in pairs
    ]
    return torch.stack(values).sum()


TERMS: tuple[LossTerm, ...] = (
    LossTerm("reconstruction", _reconstruction, lambda s: s.reconstruction),
    LossTerm("vsp", _vsp, lambda s: s.vsp),
    LossTerm("cycle", _cycle, lambda s: s.cycle, ("round_trips",)),
    LossTerm("cycle_vsp", _cycle_vsp, _cycle_vsp_weight, ("round_trips",)),
    LossTerm("consensus", _consensus, lambda s: s.consensus, ("teacher_targets",)),
    LossTerm("adversarial", _space_adversarial, lambda s: s.adversarial),
    LossTerm("latent_adversarial", _latent_adversarial, lambda s: s.latent_adversarial),
)

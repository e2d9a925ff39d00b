"""The networks of a run with their optimizers: what a step changes and a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from interlingua.core.maps import AffineMap
from interlingua.core.networks import Network
from interlingua.neural import nets, randomness, warm
from interlingua.neural.optimizers import ScaledAdam, moving_average
from interlingua.neural.settings import Settings
from interlingua.neural.steps import Discriminators

__all__ = ["Model"]


@dataclass(frozen=True, eq=False)
class Model:
    """Networks and discriminators, with the optimizers of both.

    Attributes:
        widths: of each space by name.
        settings: of the run.
        generator: the networks.
        discriminators: of the translations and latents.
        optimizers: of the networks and of the discriminators.
        average: moving average of the networks, or None.
        device: of the networks.
        precision: number type of the forward pass, or None for float32.
    """

    widths: Mapping[str, int]
    settings: Settings
    generator: nets.Generator
    discriminators: Discriminators
    optimizers: tuple[ScaledAdam, ScaledAdam]
    average: AveragedModel | None
    device: torch.device
    precision: torch.dtype | None

    @classmethod
    def build(
        cls,
        widths: Mapping[str, int],
        settings: Settings,
        *,
        seed: int,
        maps: Mapping[str, tuple[AffineMap, AffineMap]] | None,
        device: torch.device,
    ) -> Model:
        """Build the networks of a run on a device, with initial values.

        Args:
            widths: of each space by name.
            settings: of the run.
            seed: decides the initial values.
            maps: a linear alignment to start from, as :func:`interlingua.neural.warm.initialize` takes it; None starts
                cold.
            device: of the networks.

        Raises:
            InputError: ``maps`` does not fit the spaces.
        """
        latent = None if maps is None else widths[warm.latent_space(widths, maps)]
        # torch draws initial values from its global generator; ours replace them.
        with randomness.preserve_rng(device):
            generator = nets.Generator(widths, settings, gated=settings.skips or maps is not None, latent=latent)
            discriminators = Discriminators(list(widths.values()), generator.latent, settings)
        nets.build([generator, discriminators], seed)
        if maps is not None:
            warm.initialize(generator, maps)
        for module in (generator, discriminators):
            module.to(device)
        average = moving_average(generator, settings.average) if settings.average else None
        half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(settings.precision)
        precision = None if device.type == "cpu" else half
        optimizers = _optimizers(generator, discriminators, settings, device, scaled=precision is torch.float16)
        return cls(widths, settings, generator, discriminators, optimizers, average, device, precision)

    def autocast(self) -> torch.autocast:
        """Return the context of a forward pass in the precision of the run."""
        return torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision is not None)

    def generators(self) -> list[nets.Generator]:
        """Return the networks, and their moving average where one is kept."""
        both = (self.generator, self.average.module if self.average else None)
        return [module for module in both if isinstance(module, nets.Generator)]

    def weights(self) -> dict[str, Tensor]:
        """Return the current weights of the networks, averaged ones where an average is kept."""
        state = self.average.module.state_dict() if self.average else self.generator.state_dict()
        return {name: tensor.detach() for name, tensor in state.items() if not name.endswith("num_batches_tracked")}

    def network(self, weights: Mapping[str, Tensor]) -> Network:
        """Return networks with these weights that work without torch."""
        s = self.settings
        tensors = {name: tensor.float().cpu().numpy().copy() for name, tensor in weights.items()}
        return Network(self.widths, (s.adapter_depth, s.backbone_depth), s.norm, self.generator.gated, tensors)

    def state(self) -> dict[str, Any]:
        """Return all that a step changes."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        networks, discriminators = self.optimizers
        parts: dict[str, Any] = {"generator": self.generator, "discriminators": self.discriminators}
        parts |= {"generator_optimizer": networks, "discriminator_optimizer": discriminators}
        return parts if self.average is None else {**parts, "average": self.average}


def _optimizers(
    generator: nets.Generator, discriminators: Discriminators, s: Settings, device: torch.device, *, scaled: bool
) -> tuple[ScaledAdam, ScaledAdam]:
    """Return the optimizers of networks and discriminators."""
    skips = {id(p) for p in generator.skips()}
    of_networks = [
        {"params": [p for p in generator.parameters() if id(p) not in skips], "lr_factor": 1.0},
        {"params": list(generator.skips()), "lr_factor": s.skip_lr},
    ]
    of_discriminators = [{"params": list(discriminators.parameters()), "lr_factor": 1.0}]
    scalers = [torch.amp.GradScaler(device.type, enabled=scaled) for _ in range(2)]
    return (
        ScaledAdam(of_networks, lr=s.lr, beta1=s.beta1, eps=1e-8, scaler=scalers[0]),
        ScaledAdam(of_discriminators, lr=s.discriminator_lr, beta1=s.beta1, eps=s.discriminator_eps, scaler=scalers[1]),
    )

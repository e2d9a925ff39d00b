"""The networks: sizes as published, inputs carried through, and numpy giving what torch gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from interlingua.core.errors import InputError
from interlingua.core.networks import Network, NetworkMap
from interlingua.neural import nets, settings

PAPER = settings.Settings()
SMALL = settings.Settings(width=20, latent=16, discriminator_width=12, dropout=0.0)


def count(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())


def built(widths: dict[str, int], s: Any, **options: Any) -> Any:
    generator = nets.Generator(widths, s, **options)
    nets.build([generator], 0)
    return generator


def as_network(generator: Any, widths: dict[str, int], s: Any) -> Network:
    tensors = {k: v.numpy() for k, v in generator.state_dict().items() if not k.endswith("num_batches_tracked")}
    return Network(widths, (s.adapter_depth, s.backbone_depth), s.norm, generator.gated, tensors)


def test_module_sizes_are_the_published_ones() -> None:
    with torch.device("meta"):
        generator = nets.Generator({"u": 768, "s": 768}, PAPER)
        assert count(generator.input_adapters[0]) == 3_938_304
        assert count(generator.backbone) == 5_252_096
        assert count(generator.output_adapters[0]) == 3_938_048
        assert count(nets.Discriminator(768, PAPER)) == 3_943_425
        assert count(nets.Discriminator(1024, PAPER)) == 4_205_569


@pytest.mark.parametrize(("width", "size"), [(768, 21_004_800), (512, 20_480_256), (2560, 24_676_608)])
def test_whole_translators_have_the_published_sizes(width: int, size: int) -> None:
    with torch.device("meta"):
        assert count(nets.Generator({"u": 768, "s": width}, PAPER)) == size


def test_a_block_adds_its_input_padded_or_cut() -> None:
    x = torch.arange(12.0).reshape(2, 6)
    for width in (4, 6, 9):
        net = nets.ResidualMLP(3, 6, 6, width, norm="layer", dropout=0.0)
        for p in net.parameters():
            torch.nn.init.zeros_(p)
        assert torch.equal(net(x), nets.fit_width(x, width))
    assert torch.equal(nets.fit_width(x, 9)[:, 6:], torch.zeros(2, 3))


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_any_depth_has_as_many_blocks_and_the_right_widths(depth: int) -> None:
    net = nets.ResidualMLP(depth, 5, 7, 3, norm="batch", dropout=0.1)
    assert len(net.blocks) == depth
    assert net(torch.randn(4, 5)).shape == (4, 3)


def test_building_depends_on_the_seed_alone() -> None:
    before = torch.get_rng_state()
    first, second = (nets.Generator({"a": 6, "b": 5}, SMALL) for _ in range(2))
    nets.build([first], 3)
    nets.build([second], 3)
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    torch.set_rng_state(before)


def test_linear_layers_start_kaiming_normal_with_zero_bias() -> None:
    generator = built({"a": 400, "b": 300}, settings.Settings(width=500, latent=500))
    layer = generator.backbone.blocks[0][0]
    assert float(layer.weight.detach().std()) == pytest.approx(np.sqrt(2 / 500), rel=0.02)
    assert not layer.bias.any()


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("gated", [False, True])
def test_numpy_applies_a_network_as_torch_does(norm: str, gated: bool, rng: np.random.Generator) -> None:
    s, widths = SMALL.changed(norm=norm), {"a": 9, "b": 24, "c": 16}
    generator = built(widths, s, gated=gated, latent=11)
    for name, tensor in generator.state_dict().items():
        if "gate" in name or "running_mean" in name:
            tensor.copy_(torch.as_tensor(rng.standard_normal(tensor.shape)))
        elif "running_var" in name:
            tensor.copy_(torch.as_tensor(1 + rng.random(tensor.shape)))
    network = as_network(generator, widths, s)
    generator.eval()
    assert network.latent == generator.latent == 11
    for j, source in enumerate(widths):
        x = rng.standard_normal((7, widths[source])).astype(np.float32)
        for k, target in enumerate(widths):
            with torch.no_grad():
                z = generator.encode(nets.unit(torch.as_tensor(x)), j)
                wanted = generator.decode(z, k).numpy()
            assert network.encode(x, source) == pytest.approx(z.numpy(), abs=1e-4)
            assert NetworkMap(network, source, target)(x) == pytest.approx(wanted, abs=1e-5)


def test_a_row_alone_gives_what_it_gives_among_others(rng: np.random.Generator) -> None:
    widths = {"a": 9, "b": 5}
    network = as_network(built(widths, SMALL), widths, SMALL)
    x = rng.standard_normal((30, 9))
    assert network.translate(x[4:5], "a", "b") == pytest.approx(network.translate(x, "a", "b")[4:5], abs=1e-12)


def test_an_unknown_space_is_named_with_those_there_are() -> None:
    network = as_network(built({"a": 9, "b": 5}, SMALL), {"a": 9, "b": 5}, SMALL)
    with pytest.raises(InputError, match="There is no space 'c' in this translator; it knows a, b"):
        network.encode(np.eye(9), "c")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": "rms"}, "norm is 'rms'; choose from batch, layer"),
        ({"steps": 0}, "steps is 0; an integer >= 1"),
        (
            {"instance_noise": 0.1, "instance_noise_end": 0.2},
            "instance_noise falls from 0.1 to 0.2; instance_noise_end must be above 0 and at most instance_noise",
        ),
        ({"dropout": 1.0}, "dropout is 1.0; a finite number at least 0 and below 1"),
        ({"learning_rate": 1}, "There is no setting 'learning_rate'"),
        ({"discriminator_depth": 1}, "discriminator_depth is 1; an integer >= 2"),
    ],
)
def test_settings_that_no_run_could_use_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PAPER.changed(**change)

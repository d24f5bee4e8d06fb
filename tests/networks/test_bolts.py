"""Networks of lightning-bolts: padding, losses and the warm-up schedule."""

import math
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hourglass.models.bolts_ae import BoltsAE
from hourglass.models.bolts_vae import BoltsVAE
from hourglass.models.undercomplete import Undercomplete
from hourglass.networks.bolts import MIN_SIDE_PIXELS, Bolts, bolts, quiet

SHAPES = [(1, 28, 28), (1, 1, 1), (1, 5, 8), (3, 16, 16), (3, 17, 9), (3, 2, 33)]


def network(shape: tuple[int, ...], latent_dim: int = 4, **settings) -> Bolts:
    torch.manual_seed(0)
    return Bolts(shape, latent_dim, **settings).eval()


def pixels(shape: tuple[int, ...], n: int = 2) -> Tensor:
    """Return values in [0, 1) of which the third of three times one is itself to the bit."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, *shape), generator=generator) / 256


class Passthrough(nn.Module):
    """Stand in for the ResNet: the features are its input."""

    shape: torch.Size

    def forward(self, x: Tensor) -> Tensor:
        self.shape = x.shape[1:]
        return x.flatten(1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_input_is_centred_and_its_padding_undone_at_the_output(shape):
    net, x = network(shape), pixels(shape)
    encoder = net.encoder = Passthrough()
    net.mean = nn.Identity()
    z = net.encode(x)
    channels, side, width = encoder.shape
    assert (channels, width) == (3, side)
    assert side >= max(MIN_SIDE_PIXELS, *shape[1:])
    assert side % 8 == 0
    top, left = (side - shape[1]) // 2, (side - shape[2]) // 2
    padded = z.unflatten(1, encoder.shape)
    image = padded[:, :, top : top + shape[1], left : left + shape[2]]
    assert torch.equal(image, x.expand_as(image))
    assert padded.sum() == image.sum()
    net.decoder = nn.Unflatten(1, encoder.shape)
    assert torch.equal(net.decode(z), x)
    assert torch.equal(net.error(x), torch.zeros(2))


@pytest.mark.parametrize("shape", [(12,), (2, 16, 16), (4, 16, 16)], ids=str)
@pytest.mark.parametrize("kind", ["AE", "VAE"])
def test_vectors_and_other_channels_are_refused(refusal, shape, kind):
    sentence = refusal(network, shape, kind=kind)
    assert "x".join(map(str, shape)) in sentence


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 20)], ids=str)
@pytest.mark.parametrize("kind", ["AE", "VAE"])
def test_images_are_encoded_and_decoded(shape, kind):
    net, x = network(shape, 5, kind=kind), pixels(shape)
    with torch.no_grad():
        assert net.encode(x).shape == (2, 5)
        assert net(x).shape == x.shape


@pytest.mark.parametrize(("kind", "settings"), [(BoltsAE, {}), (BoltsVAE, {"kl_coeff": 0.3})])
def test_the_loss_is_that_of_bolts_own_module(kind, settings):
    ours, x = kind((3, 16, 16), 4, **settings).eval(), pixels((3, 16, 16), 8)
    with quiet():
        model = getattr(bolts("models.autoencoders"), ours.network.init_args["kind"])
        theirs = model(16, "resnet18", latent_dim=4, **settings).eval()
    for name in ("encoder", "decoder"):
        getattr(theirs, name).load_state_dict(getattr(ours.network, name).state_dict())
    for name, own in (("fc", "mean"), ("fc_mu", "mean"), ("fc_var", "log_var")):
        if hasattr(theirs, name):
            getattr(theirs, name).load_state_dict(getattr(ours.network, own).state_dict())
    torch.manual_seed(1)
    expected, _ = theirs.step((x, None), 0)
    torch.manual_seed(1)
    torch.testing.assert_close(ours.training_loss(x), expected)


USE = """
import sys
from types import SimpleNamespace
import hourglass.networks, hourglass.models.base
from hourglass.models.bolts_ae import BoltsAE
def used(): return any(name.partition(".")[0] == "pl_bolts" for name in sys.modules)
before = used()
module = BoltsAE((1, 8, 8), 2, schedule="warmup_cosine", warmup_epochs=1)
module.trainer = SimpleNamespace(max_epochs=3, estimated_stepping_batches=6)
[optimizer], [schedule] = module.configure_optimizers()
for _ in range(6):
    optimizer.step()
    schedule["scheduler"].step()
print(before, used())
"""


@pytest.mark.slow
def test_bolts_is_imported_on_first_use_without_warnings():
    command = [sys.executable, "-W", "always", "-c", USE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False True\n", "")


def warmed_up(warmup_epochs: int, max_epochs: int, batches: int) -> tuple:
    """Return the optimizer and the schedule of a training, without one."""
    settings: dict[str, Any] = {"learning_rate": 0.2, "schedule": "warmup_cosine"}
    module = Undercomplete((6,), 2, warmup_epochs=warmup_epochs, **settings)
    steps = max_epochs * batches
    trainer: Any = SimpleNamespace(max_epochs=max_epochs, estimated_stepping_batches=steps)
    module.trainer = trainer
    [optimizer], [schedule] = module.configure_optimizers()
    return optimizer, schedule


@pytest.mark.parametrize(
    ("warmup_epochs", "max_epochs", "batches"), [(2, 10, 7), (1, 2, 1), (5, 6, 3), (1, 50, 4)]
)
def test_warmup_cosine_rises_linearly_and_falls_as_a_cosine(warmup_epochs, max_epochs, batches):
    optimizer, schedule = warmed_up(warmup_epochs, max_epochs, batches)
    assert schedule["interval"] == "step"
    warmup, total = warmup_epochs * batches, max_epochs * batches
    for step in range(total + 1):
        falling = (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2
        expected = 0.2 * (step / max(warmup - 1, 1) if step < warmup else falling)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-6, abs=1e-9)
        optimizer.step()
        schedule["scheduler"].step()


@pytest.mark.parametrize(("warmup_epochs", "max_epochs"), [(3, 3), (5, 3), (0, 3), (-1, 3)])
def test_a_warm_up_that_does_not_begin_or_end_is_refused(refusal, warmup_epochs, max_epochs):
    sentence = refusal(warmed_up, warmup_epochs, max_epochs, 4)
    assert f"warmup_epochs is {warmup_epochs}" in sentence
    assert warmup_epochs < 1 or f"max_epochs, {max_epochs}" in sentence


@pytest.mark.parametrize("kl_coeff", [-0.1, float("nan")])
def test_a_weight_out_of_range_is_refused(refusal, kl_coeff):
    assert f"kl_coeff is {kl_coeff}" in refusal(BoltsVAE, (1, 8, 8), kl_coeff=kl_coeff)


def test_without_lightning_bolts_the_message_says_how_to_install_it(refusal, monkeypatch):
    monkeypatch.setitem(sys.modules, "pl_bolts", None)
    for name in [name for name in sys.modules if name.startswith("pl_bolts.")]:
        monkeypatch.delitem(sys.modules, name)
    assert "pip install --no-deps lightning-bolts" in refusal(bolts, "models.autoencoders")

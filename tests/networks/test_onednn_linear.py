"""Dense layers by oneDNN: equal to torch up to rounding, and used only if selected."""

import copy

import pytest
import torch
from torch import Tensor, nn

from hourglass.networks import Dense
from hourglass.networks import onednn_linear as products
from hourglass.networks.onednn_linear import Linear, linear

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN"
)
# Samples, inputs and outputs: more or fewer inputs than outputs, and fewer than MIN_INPUTS.
SIZES = pytest.mark.parametrize(
    "size", [(256, 300, 200), (300, 70, 260), (2048, 40, 64), (64, 700, 120)], ids=str
)
PROCESSORS = {"AuthenticAMD": True, "GenuineIntel": False}


@pytest.fixture(params=["on", "off"])
def switch(request, monkeypatch):
    yield from switched(request.param, monkeypatch)


@pytest.fixture
def on(monkeypatch):
    yield from switched("on", monkeypatch)


def switched(value: str, monkeypatch):
    monkeypatch.setenv(products.SWITCH, value)
    products._is_faster.cache_clear()
    yield value
    monkeypatch.undo()
    products._is_faster.cache_clear()


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, ...]]:
    """Return the shapes of the products that oneDNN is asked for."""
    asked: list[tuple[int, ...]] = []
    real = products._product

    def product(x: Tensor, other: Tensor, bias: Tensor | None = None) -> Tensor:
        asked.append((*x.shape, len(other)))
        return real(x, other, bias)

    monkeypatch.setattr(products, "_product", product)
    return asked


def operands(size: tuple[int, int, int], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    samples, inputs, outputs = size
    generator = torch.Generator().manual_seed(0)
    shapes = (samples, inputs), (outputs, inputs), (outputs,)
    x, weight, bias = (torch.randn(each, generator=generator).to(dtype) for each in shapes)
    return [each.requires_grad_() for each in (x, weight / inputs**0.5, bias)]


def differentiated(layer, size, dtype=torch.float32, twice=False) -> list[Tensor]:
    """Return the output and the gradients of a loss, or those of the gradients' own size."""
    given = operands(size, dtype)
    output = layer(*given)
    gradients = torch.autograd.grad(output.sigmoid().sum(), given, create_graph=twice)
    if twice:
        slopes = torch.stack([each.square().sum() for each in gradients])
        gradients = torch.autograd.grad(slopes.sum(), given)
    return [output, *gradients]


def assert_close(found: list[Tensor], exact: list[Tensor]) -> None:
    for each, reference in zip(found, exact, strict=True):
        assert (each.double() - reference).abs().max() <= 3e-6 * reference.abs().max()


@SIZES
@pytest.mark.parametrize("twice", [False, True], ids=["first", "second"])
def test_outputs_and_derivatives_are_those_of_double_precision(size, twice, switch, calls):
    exact = differentiated(nn.functional.linear, size, torch.float64, twice)
    assert_close(differentiated(linear, size, twice=twice), exact)
    assert bool(calls) == (switch == "on")


@SIZES
def test_without_gradients_the_output_is_the_same_within_rounding(size, on, calls):
    exact = nn.functional.linear(*operands(size, torch.float64))
    x, weight, bias = operands(size)
    transposed = weight.detach().t().contiguous().t()
    with torch.inference_mode():
        assert_close([linear(x, weight, bias), linear(x, transposed, bias)], [exact, exact])
    assert calls == [size, size]


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_transforms_of_torch_func_work(on, calls):
    x, weight, bias = (each.detach() for each in operands((512, 300, 200)))

    def slopes(layer, *given: Tensor) -> Tensor:
        def slope(half: Tensor) -> Tensor:
            return torch.func.grad(lambda each: layer(each, *given[1:]).sigmoid().sum())(half)

        return torch.func.vmap(slope)(given[0].unflatten(0, (2, 256)))

    exact = slopes(nn.functional.linear, x.double(), weight.double(), bias.double())
    assert_close([slopes(linear, x, weight.requires_grad_(), bias)], [exact])
    assert calls


def test_forward_derivatives_are_left_to_torch(on, calls):
    x, weight, bias = (each.detach() for each in operands((256, 300, 200)))
    tangent = torch.func.jvp(lambda each: linear(each, weight, bias), (x,), (x,))[1]
    assert torch.equal(tangent, x @ weight.t())
    assert not calls


@pytest.mark.parametrize("trained", range(3), ids=["x", "weight", "bias"])
def test_each_gradient_can_be_computed_alone(trained, on, calls):
    given = [each.detach() for each in operands((256, 300, 200))]
    given[trained].requires_grad_()
    linear(*given).sigmoid().sum().backward()
    exact = differentiated(nn.functional.linear, (256, 300, 200), torch.float64)[1 + trained]
    assert_close([given[trained].grad], [exact])
    assert calls


def test_a_layer_may_have_no_bias(on, calls):
    layer, x = Linear(300, 200, bias=False), torch.rand(256, 300)
    layer(x).sum().backward()
    assert_close([layer.weight.grad], [x.double().sum(0).expand(200, 300)])
    assert calls


def test_tied_weights_learn_from_both_of_their_layers(switch, calls):
    torch.manual_seed(0)
    network = Dense((300,), 200, code_activation="sigmoid", tied=True)
    exact, x = copy.deepcopy(network).double(), torch.rand(256, 300)
    for each, samples in ((network, x), (exact, x.double())):
        each(samples).square().sum().backward()
    pairs = zip(network.parameters(), exact.parameters(), strict=True)
    assert_close(*map(list, zip(*((a.grad, b.grad) for a, b in pairs), strict=True)))
    assert bool(calls) == (switch == "on")


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((8, 300), torch.float32), ((256, 300), torch.float64), ((8, 32, 300), torch.float32)],
    ids=["small", "double", "three dimensions"],
)
def test_other_products_are_left_to_torch(shape, dtype, on, calls):
    ours, theirs = Linear(300, 200, dtype=dtype), nn.Linear(300, 200, dtype=dtype)
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(shape, dtype=dtype)
    assert torch.equal(ours(x), theirs(x))
    assert not calls


def test_compiled_layers_are_left_to_the_compiler(on, calls):
    layer, x = Linear(300, 200), torch.rand(256, 300)
    found = torch.compile(layer, backend="eager")(x)
    assert torch.equal(found, nn.functional.linear(x, layer.weight, layer.bias))
    assert not calls


@pytest.mark.parametrize("context", [torch.autocast, torch.backends.mkldnn.flags])
def test_autocast_and_disabled_onednn_are_respected(context, on, calls):
    asked = {"device_type": "cpu"} if context is torch.autocast else {"enabled": False}
    with context(**asked), torch.inference_mode():
        linear(*operands((256, 300, 200)))
    assert not calls


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this build has no MKL")
@pytest.mark.parametrize("vendor", PROCESSORS)
@pytest.mark.parametrize("capability", ["AVX512", "AVX2"])
def test_without_the_switch_the_processor_decides(vendor, capability, on, monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n")
    monkeypatch.delenv(products.SWITCH)
    monkeypatch.setattr(products, "PROCESSOR", info)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    products._is_faster.cache_clear()
    assert products._is_faster() == (PROCESSORS[vendor] and capability == "AVX512")

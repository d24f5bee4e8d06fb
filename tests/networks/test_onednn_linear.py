"""Dense layers by oneDNN: equal to torch up to rounding, and used only if selected."""

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import jvp

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


@pytest.fixture
def set_switch(monkeypatch) -> Iterator[Callable[[str], None]]:
    """Give a function that sets the environment variable, which is read once."""

    def set_to(value: str) -> None:
        monkeypatch.setenv(products.SWITCH, value)
        products._is_faster.cache_clear()

    yield set_to
    monkeypatch.undo()
    products._is_faster.cache_clear()


@pytest.fixture(params=["on", "off"])
def switch(request, set_switch) -> str:
    set_switch(request.param)
    return request.param


@pytest.fixture
def on(set_switch) -> None:
    set_switch("on")


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


@pytest.mark.parametrize("trained", range(3), ids=["x", "weight", "bias"])
def test_each_gradient_can_be_computed_alone(trained, on, calls):
    given = [tensor.detach() for tensor in operands((256, 300, 200))]
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
    network(x).square().sum().backward()
    exact(x.double()).square().sum().backward()
    assert_close(*([weight.grad for weight in net.parameters()] for net in (network, exact)))
    assert bool(calls) == (switch == "on")


def call(layer: Any, x: Tensor) -> Tensor:
    return layer(x)


@pytest.mark.parametrize(
    ("function", "shape", "dtype", "context"),
    [
        (call, (8, 300), torch.float32, nullcontext()),
        (call, (256, 300), torch.float64, nullcontext()),
        (call, (8, 32, 300), torch.float32, nullcontext()),
        (call, (256, 300), torch.float32, torch.autocast("cpu")),
        (call, (256, 300), torch.float32, torch.backends.mkldnn.flags(enabled=False)),
        (torch.compile(call, backend="eager"), (256, 300), torch.float32, nullcontext()),
        (lambda layer, x: jvp(layer, (x,), (x,))[1], (256, 300), torch.float32, nullcontext()),
    ],
    ids=["small", "double", "3-D", "autocast", "disabled", "compiled", "forward derivative"],
)
def test_other_products_are_left_to_torch(function, shape, dtype, context, on, calls):
    ours, theirs = Linear(300, 200, dtype=dtype), nn.Linear(300, 200, dtype=dtype)
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(shape, dtype=dtype)
    with context:
        results = [function(layer, x) for layer in (ours, theirs)]
    assert torch.equal(*results)
    assert not calls


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this build has no MKL")
@pytest.mark.parametrize("vendor", ["AuthenticAMD", "GenuineIntel"])
@pytest.mark.parametrize("capability", ["AVX512", "AVX2"])
def test_without_the_switch_the_processor_decides(
    vendor, capability, set_switch, monkeypatch, tmp_path
):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n")
    set_switch("")
    monkeypatch.setattr(products, "PROCESSOR", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert products._is_faster() == ((vendor, capability) == ("AuthenticAMD", "AVX512"))

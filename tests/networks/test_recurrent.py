"""The recurrent network against loops over the steps with torch's single cells."""

import pytest
import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.networks.recurrent import Recurrent

SHAPE = INPUTS, STEPS = 3, 7
X = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(1))


def network(cell: str, layers: int) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(SHAPE, 2, cell, 6, layers).eval()  # type: ignore[arg-type]


def unrolled(cells: nn.GRU | nn.LSTM, steps: list[Tensor]) -> list[Tensor]:
    """Return the states of stacked layers at each step, (N, inputs) -> (N, width), one by one."""
    for layer in range(cells.num_layers):
        kind = nn.LSTMCell if isinstance(cells, nn.LSTM) else nn.GRUCell
        cell = kind(steps[0].shape[1], cells.hidden_size)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        cell.load_state_dict({name: getattr(cells, f"{name}_l{layer}") for name in names})
        state, states = None, []
        for step in steps:
            state = cell(step, state)
            states.append(state[0] if isinstance(state, tuple) else state)
        steps = states
    return steps


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@torch.no_grad()
def test_code_and_window_are_those_of_a_loop_over_the_steps(cell, layers):
    net = network(cell, layers)
    encoder, decoder = net.encoder, net.decoder
    states = unrolled(encoder[1].cells, [X[:, :, t] for t in range(STEPS)])
    code = encoder[3](states[-1])
    torch.testing.assert_close(net.encode(X), code)
    expected = torch.empty(len(X), *SHAPE)
    for k, state in enumerate(unrolled(decoder[1].cells, [code] * STEPS)):
        expected[:, :, STEPS - 1 - k] = decoder[2](state)  # the last step comes first
    torch.testing.assert_close(net.decode(code), expected)


def test_the_code_depends_on_every_cell_of_the_window():
    x = X[:1].clone().requires_grad_()
    network("gru", 1).encode(x).sum().backward()
    assert x.grad is not None
    assert x.grad.all()


def test_the_largest_tensor_is_that_of_the_states():
    net = Recurrent(SHAPE, 2, "lstm", 50)
    assert net.widest == 50 * STEPS


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8)])
def test_other_samples_than_windows_are_refused(shape):
    with pytest.raises(UserError, match=r"a sample has the shape .* use another variant"):
        Recurrent(shape, 2)


@pytest.mark.parametrize("setting", ["width", "layers"])
def test_a_size_of_zero_is_refused(setting):
    with pytest.raises(UserError, match=f"{setting} is 0"):
        Recurrent(SHAPE, 2, **{setting: 0})

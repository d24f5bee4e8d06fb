"""Measure the speed of training and decoding sparse dictionaries on one CPU thread.

    python scripts/sparse_speed.py             # two minutes on an idle core

Prints samples per second of `batch_topk` next to a bare loop of the same arithmetic, and the time
of decoding by the rows of active units next to a dense product. Writes
build/sparse_codes/speed.md, which scripts/sparse_codes.py includes in its page.
"""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pandas as pd
import torch
from common import ROOT, argument_parser, median_seconds, write_page
from torch import Tensor
from torch.nn import functional

INPUTS, WIDTH, BATCH_SIZE = 768, 16_384, 4096
ACTIVE = (8, 32, 128)  # L0 of decoded codes
K, STEPS = 32, 3
ROUNDS = 3  # of decoding


def main() -> None:
    """Measure and write the tables."""
    argument_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    text = f"""## Speed

Made by `python scripts/sparse_speed.py`: {INPUTS} inputs, {WIDTH:,} units, batches of
{BATCH_SIZE:,}, one CPU thread, medians. The bare loop is a PyTorch training step of batch top-k
with dense products and automatic differentiation: the same loss, projected gradient, unit norm,
Adam and count of idle units. Steps of the two alternate, after one step each that is not measured.

{_training().to_markdown(index=False, floatfmt=".3g")}

Decoding a batch of codes, without gradients:

{_decoding().to_markdown(index=False, floatfmt=".3g")}
"""
    folder = ROOT / "build/sparse_codes"
    folder.mkdir(parents=True, exist_ok=True)
    write_page(folder / "speed.md", text)


def _training() -> pd.DataFrame:
    """Return samples per second of a training step of Hourglass and of a bare loop."""
    x = torch.randn(BATCH_SIZE, INPUTS, generator=torch.Generator().manual_seed(0))
    steps = {"hourglass": hourglass_step(x), "bare loop": bare_step(x)}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(STEPS + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if round_:
                times[name].append(time.perf_counter() - start)
    seconds = {name: pd.Series(values).median() for name, values in times.items()}
    rows = [
        {
            "loop": name,
            "seconds per step": seconds[name],
            "samples per second": BATCH_SIZE / seconds[name],
            "relative to the bare loop": seconds["bare loop"] / seconds[name],
        }
        for name in steps
    ]
    return pd.DataFrame(rows)


def hourglass_step(x: Tensor) -> Callable[[], Any]:
    """Return a training step of the variant, as the fast loop makes it."""
    from hourglass.models.sparse import Sparse
    from hourglass.training.acceleration import gradient_step

    torch.manual_seed(0)
    module = Sparse((INPUTS,), WIDTH, sparsity="batch_topk", k=K, schedule="constant")
    module.trainer = SimpleNamespace(max_epochs=1)  # type: ignore[assignment]
    assert module.dictionary is not None
    module.dictionary.start(x)
    step = gradient_step(module.training_step, module.configure_optimizers())
    return lambda: step(x)


def bare_step(x: Tensor) -> Callable[[], Any]:
    """Return the same step in plain PyTorch."""
    torch.manual_seed(0)
    decoder = functional.normalize(torch.randn(WIDTH, INPUTS)).requires_grad_()
    encoder = decoder.detach().T.clone().requires_grad_()
    bias, offset = torch.zeros(WIDTH, requires_grad=True), x.median(0).values.requires_grad_()
    optimizer = torch.optim.Adam([encoder, decoder, bias, offset], 1e-3, fused=True)
    idle, threshold = torch.zeros(WIDTH), torch.zeros(())

    def step() -> None:
        pre = (x - offset) @ encoder + bias
        values, positions = pre.flatten().topk(K * len(x), sorted=False)
        z = torch.zeros(pre.numel()).scatter(0, positions, values.relu()).view_as(pre)
        loss = functional.mse_loss(z @ decoder + offset, x)
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            assert decoder.grad is not None
            decoder.grad.sub_((decoder.grad * decoder).sum(1, keepdim=True) * decoder)
            optimizer.step()
            decoder.div_(decoder.norm(dim=1, keepdim=True))
            idle.add_(len(x)).mul_(~(z > 0).any(0))
            threshold.lerp_(values.min(), 0.02)

    return step


def _decoding() -> pd.DataFrame:
    """Return milliseconds per batch of dense and sparse decoding."""
    from hourglass.networks.sparse_products import decode

    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(WIDTH, INPUTS, generator=generator), torch.zeros(INPUTS)
    rows = []
    for active in ACTIVE:
        units = torch.rand(BATCH_SIZE, WIDTH, generator=generator).topk(active).indices
        z = torch.zeros(BATCH_SIZE, WIDTH).scatter_(1, units, 1.0)
        with torch.inference_mode():
            dense = median_seconds(ROUNDS, lambda z=z: z @ weight + bias)
            sparse = median_seconds(ROUNDS, decode, z, weight, bias)
        rows.append(
            {
                "L0": active,
                "dense, ms": 1000 * dense,
                "active rows, ms": 1000 * sparse,
                "times faster": dense / sparse,
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()

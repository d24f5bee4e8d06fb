"""Compare the scoring of a numeric table with a bare forward pass of the same network.

    python scripts/table_scoring.py              # half a minute, without data on disk

The table and the network have the size of the card table in docs/benchmarks/benchmark.md. The
contestants alternate in many short rounds in one process; rates are those of the best round. The
checksum shows whether scores are the same bits after a change.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from benchmarks.bare import SCORING_BATCH_ELEMENTS
from benchmarks.networks import BUILD
from common import argument_parser, fastest_seconds

from hourglass.core.memory_allocator import keep_freed_memory
from hourglass.data.columns.column import Column
from hourglass.data.table_encoding import TableEncoding
from hourglass.detection.scorers import ModelScore, Scorer, StandardizedError
from hourglass.detection.scoring import FittedScorer

FEATURES, SCORED_ELEMENTS = 29, 2**22


def main() -> None:
    """Measure all contestants and print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    keep_freed_memory()
    rng = np.random.default_rng(0)
    x = rng.normal(50, 10, (SCORED_ELEMENTS // FEATURES, FEATURES))
    columns = [Column(f"x{i}", scaling="standard") for i in range(FEATURES)]
    encoding = TableEncoding.fit(columns, x[:1000])
    x = x.clip(10, 90)  # no number beyond the limit of the encoding
    missing = np.where(rng.random(x.shape) < 0.01, np.nan, x)
    torch.manual_seed(0)
    network = BUILD["card"]((FEATURES,)).eval()
    assert encoding.heads is not None
    network.add_heads(encoding.heads)
    scaled = torch.from_numpy(encoding(x))
    contestants: dict[str, Callable[[], object]] = {
        f"bare forward pass, batches of {elements:,} elements": _bare(network, scaled, elements)
        for elements in SCORING_BATCH_ELEMENTS
    }
    for name, scorer in (("model score", ModelScore()), ("standardized", StandardizedError())):
        for kind, rows in (("complete", x), ("with missing cells", missing)):
            contestants[f"{name}, {kind}"] = _scored(network, encoding, scorer, rows)
    best = fastest_seconds(rounds, contestants)
    bare = min(list(best.values())[: len(SCORING_BATCH_ELEMENTS)])
    for name, value in best.items():
        print(
            f"{name:45} {len(x) / value / 1e6:6.2f} M rows/s, {bare / value:.3f} of the bare pass"
        )
    digest = hashlib.sha256()
    for run in list(contestants.values())[len(SCORING_BATCH_ELEMENTS) :]:
        digest.update(np.asarray(run()).tobytes())
    print("checksum of all scores:", digest.hexdigest()[:16])


def _bare(network: Any, x: torch.Tensor, elements: int) -> Callable[[], object]:
    """Return a pass of the layers over scaled samples, without the heads' filling of cells."""
    encoder = torch.nn.Sequential(network.encoder[0].following, *network.encoder[1:])

    def run() -> None:
        with torch.inference_mode():
            for batch in x.split(elements // FEATURES):
                network.decoder(encoder(batch))

    return run


def _scored(
    network: Any, encoding: TableEncoding, scorer: Scorer, x: np.ndarray
) -> Callable[[], object]:
    """Return the scoring of unscaled samples by a fitted scorer."""
    scoring = FittedScorer.fit(network, encoding, scorer, x[:5000])
    return lambda: scoring(x)


if __name__ == "__main__":
    main()

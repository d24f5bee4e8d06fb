"""The plan of the benchmark: cases, contestants, and numbers of rounds."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from hourglass.core.memory_allocator import MMAP_THRESHOLD_BYTES, TRIM_THRESHOLD_BYTES
from hourglass.networks.onednn_linear import SWITCH

Task: TypeAlias = Literal["train", "score", "prepare", "stream"]
Device: TypeAlias = Literal["cpu", "cuda"]
TABLE = "generated_card"
WARM_UP_ROWS = 1024
BATCHES, COMPARED = (128, 256, 1024, 4096), 256  # slow peers only take part at COMPARED
SCORING_BATCH = 4096  # label of scoring cases, which choose their own batch sizes
CARD = ("card", TABLE, 2)  # network, data, epochs
CONVOLUTIONAL = ("convolutional", "mnist-16384", 1)  # all of mnist would take a minute
STREAMED_BYTES = 20 * 10**9


@dataclass(frozen=True)
class Case:
    """A task on a prepared data set, the same for all contestants.

    `epochs` is the number of passes over the data; streamed data take `steps` steps instead.
    """

    task: Task
    network: str
    data: str
    batch_size: int = 256
    epochs: int = 1
    learning_rate: float = 1e-3
    steps: int = 0
    device: Device = "cpu"

    def warm_up(self) -> "Case":
        """Return the case on few samples, which only warms up the process."""
        if self.task == "stream":
            return replace(self, steps=min(self.steps, 4))
        name, _, rows = self.data.partition("-")
        fewer = min(WARM_UP_ROWS, int(rows) // 8) if rows else WARM_UP_ROWS
        batch_size = min(self.batch_size, fewer // 2)  # PyOD drops an incomplete batch
        return replace(self, data=few(name, fewer), batch_size=batch_size, epochs=1)


@dataclass(frozen=True)
class Contestant:
    """A contestant: a function `module:name` of a case, called in a process of its own.

    `needs` are distributions of the extra `benchmark`, `environment` holds variables to set before
    the imports, `arguments` go to the function, `batch_size` replaces that of the case, `rounds` is
    the number of rounds in which it takes part.
    """

    name: str
    function: str
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, int] = field(default_factory=dict)
    batch_size: int = 0
    rounds: int = 1000


@dataclass(frozen=True)
class Match:
    """A case, its contestants, and the number of rounds in which they alternate."""

    case: Case
    contestants: tuple[Contestant, ...]
    rounds: int


# Dense layers by the matrix products of torch's own layer, as in all peers.
PLAIN = {SWITCH: "off"}
# The settings of hourglass.core.memory_allocator, as glibc's variables.
MEMORY_KEPT = {
    "MALLOC_TRIM_THRESHOLD_": str(TRIM_THRESHOLD_BYTES),
    "MALLOC_MMAP_THRESHOLD_": str(MMAP_THRESHOLD_BYTES),
}
OURS = Contestant("Hourglass", "benchmarks.ours:train")
OURS_PLAIN = replace(OURS, name="Hourglass, torch's products", environment=PLAIN)
BARE = Contestant("bare PyTorch loop", "benchmarks.bare:train", environment=PLAIN)
BARE_KEPT = replace(BARE, name="bare PyTorch loop, memory kept", environment=PLAIN | MEMORY_KEPT)
TORCHVISION = tuple(
    Contestant(
        f"Lightning and torchvision, {workers} workers",
        "benchmarks.with_lightning:train",
        environment=PLAIN,
        arguments={"workers": workers},
    )
    for workers in (0, 2)
)
KERAS = tuple(
    Contestant(
        f"Keras on {title}",
        "benchmarks.with_keras:train",
        needs=("keras", package),
        environment={"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    for title, backend, package in (
        ("TensorFlow", "tensorflow", "tensorflow-cpu"),
        ("PyTorch", "torch", "torch"),
    )
)
PYOD = Contestant("PyOD", "benchmarks.with_pyod:train", needs=("pyod",))
# Both with their default batches; ours is that of configs/data/credit_card.yaml.
OURS_BY_DEFAULT = replace(OURS, name="Hourglass, batch 512", batch_size=512)
PYOD_BY_DEFAULT = replace(PYOD, name="PyOD, batch 32", batch_size=32)
BOLTS = Contestant("lightning-bolts", "benchmarks.with_lightning:train_bolts")
SCORING = Contestant("Hourglass", "benchmarks.ours:score")
SCORING_PLAIN = replace(SCORING, name=OURS_PLAIN.name, environment=PLAIN)
FORWARD = Contestant("bare forward pass", "benchmarks.bare:score", environment=PLAIN)
FORWARD_KEPT = replace(BARE_KEPT, name="bare forward pass, memory kept", function=FORWARD.function)
PREPARING = Contestant("Hourglass", "benchmarks.ours:prepare")
STREAMING = Contestant("Hourglass", "benchmarks.ours:stream")
READING = {
    "mnist": Contestant("torchvision", "benchmarks.reading:with_torchvision"),
    TABLE: Contestant("pandas", "benchmarks.reading:with_pandas"),
}


def few(data: str, rows: int) -> str:
    """Return the name of the data set with about `rows` rows per split of `data`."""
    return f"{data.partition('-')[0]}-{rows}"


def matches(quick: bool, cuda: bool) -> list[Match]:
    """Return the plan; a `quick` plan has fewer measurements on little data."""
    devices: list[Device] = ["cpu", "cuda"] if cuda else ["cpu"]
    plan = [
        match for device in devices for match in _on(device, BATCHES[1:3] if quick else BATCHES)
    ]
    plan += [*_preparing(), Match(_streamed(), (STREAMING,), 1)]
    return [_quick(match) for match in plan] if quick else plan


def default_case() -> Case:
    """Return the case of the card table with the default batches of both contestants."""
    return Case("train", "card", TABLE, batch_size=0, epochs=2)


def _on(device: Device, batches: Sequence[int]) -> list[Match]:
    """Return training and scoring on one device."""
    found = [
        _training(Case("train", network, data, size, epochs, device=device))
        for network, data, epochs in (("dense", "mnist", 3), CONVOLUTIONAL, CARD)
        for size in batches
    ]
    if device == "cpu":  # on a GPU only the bare loop is compared
        found.append(Match(default_case(), (OURS_BY_DEFAULT, PYOD_BY_DEFAULT), 2))
        resnet = Case("train", "bolts_ae", few("mnist", 128), 64, learning_rate=1e-4)
        found.append(Match(resnet, (OURS, BOLTS), 2))
    scored = (("dense", "mnist", 10), CONVOLUTIONAL, ("card", TABLE, 100))
    for network, data, passes in scored:
        case = Case("score", network, data, SCORING_BATCH, passes, device=device)
        plain = (SCORING_PLAIN,) if device == "cpu" else ()
        found.append(Match(case, (SCORING, FORWARD, FORWARD_KEPT, *plain), 4))
    return found


def _training(case: Case) -> Match:
    """Return the contestants of a training: all at one batch, fewer with fewer rounds at others."""
    if case.batch_size == COMPARED and case.device == "cpu":
        others = (PYOD,) if case.data == TABLE else (*TORCHVISION, *KERAS)
        rounds = {"dense": 2, "convolutional": 1, "card": 3}[case.network]
        return Match(case, (OURS, BARE, BARE_KEPT, OURS_PLAIN, *_seldom(others, rounds)), 5)
    others = {"dense": TORCHVISION[1:], "card": (PYOD,)}.get(case.network, ())
    others = () if case.device == "cuda" and case.data == TABLE else others
    return Match(case, (OURS, BARE, *_seldom(others, 1)), 2)


def _seldom(contestants: Sequence[Contestant], rounds: int) -> tuple[Contestant, ...]:
    """Return the contestants limited to some rounds: most of them are slow."""
    return tuple(replace(each, rounds=rounds) for each in contestants)


def _preparing() -> list[Match]:
    return [
        Match(Case("prepare", "", data), (PREPARING, reader), 3) for data, reader in READING.items()
    ]


def _streamed() -> Case:
    return Case("stream", "wide", f"sparse-{STREAMED_BYTES}", steps=200)


def _quick(match: Match) -> Match:
    case, contestants = match.case, match.contestants
    if case.task in ("train", "score"):
        rows = 64 if case.network == "bolts_ae" else 4096
        case = replace(case, data=few(case.data, rows), epochs=1)
    seldom = case.network == "convolutional" or case.batch_size not in (0, COMPARED)
    if case.task == "train" and seldom:
        contestants = contestants[:2]
    return Match(replace(case, steps=min(case.steps, 8)), contestants, 1)

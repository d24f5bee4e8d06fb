"""Helpers of the scripts: arguments, workspaces, settings, pages, timings and memory."""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import yaml

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parents[1]
Result = TypeVar("Result")


def data_folder() -> Path:
    """Return the folder of the raw data."""
    return Path(os.environ.get("HOURGLASS_DATA") or ROOT / "data/raw")


def argument_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows a script's docstring as it is written."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=doc, formatter_class=formatter)


def enter(folder: Path) -> None:
    """Work in `folder`, created if missing, with fresh copies of configs/ and params.yaml.

    The raw data stay those of HOURGLASS_DATA, or of its default in the previous folder.
    """
    os.environ["HOURGLASS_DATA"] = str(data_folder().absolute())
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    shutil.copytree(ROOT / "configs", "configs", dirs_exist_ok=True)
    shutil.copy(ROOT / "params.yaml", "params.yaml")


@contextmanager
def temporary_workspace(parent: Path | None = None) -> Iterator[None]:
    """Work in a new folder as in `enter`, and delete it afterwards."""
    with tempfile.TemporaryDirectory(dir=parent) as folder, chdir(Path.cwd()):
        enter(Path(folder))
        yield


def update_yaml(path: str | Path, changes: Mapping[str, Any]) -> None:
    """Merge changes into a YAML file, nested mappings key by key."""
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    Path(path).write_text(yaml.safe_dump(_merge(content, changes)), encoding="utf-8")


def _merge(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(content)
    for key, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged


def limit_epochs(data: str, epochs: int) -> None:
    """Train on a data set for exactly `epochs` epochs: no early stopping before."""
    training = {"max_epochs": epochs, "patience": epochs}
    update_yaml(f"configs/data/{data}.yaml", {"training": training})


def write_variant(name: str, class_path: str, init_args: Mapping[str, Any]) -> None:
    """Write the settings file of a variant."""
    text = yaml.safe_dump({"class_path": class_path, "init_args": dict(init_args)})
    Path("configs/model", f"{name}.yaml").write_text(text, encoding="utf-8")


def prepare_missing(*names: str) -> None:
    """Prepare the data sets that are not prepared yet."""
    from hourglass.core.paths import prepared_folder
    from hourglass.stages.prepare import prepare

    for name in names:
        if not prepared_folder(name).exists():
            print(f"prepare {name}", flush=True)
            prepare(name)


def merge_results(file: Path, measured: "pd.DataFrame", keys: list[str]) -> "pd.DataFrame":
    """Add rows to a CSV file of results, replace those with the same keys, and return all rows."""
    import pandas as pd

    former = [pd.read_csv(file)] if file.exists() else []
    table: pd.DataFrame = pd.concat([*former, measured])
    table = table.drop_duplicates(keys, keep="last").sort_values(keys)
    file.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(file, index=False)
    return table


def write_page(path: Path, text: str) -> None:
    """Write a page and print it."""
    from hourglass.core.atomic import write_text

    write_text(path, text)
    print(text)


def timed(function: Callable[..., Result], *arguments: Any) -> tuple[Result, float]:
    """Return the result of a call and the seconds that it took."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def seconds(function: Callable[..., object], *arguments: Any) -> float:
    """Return the seconds that a call takes."""
    return timed(function, *arguments)[1]


def median_seconds(rounds: int, function: Callable[..., object], *arguments: Any) -> float:
    """Return the median seconds of a call, after one call that warms up."""
    function(*arguments)
    return statistics.median(seconds(function, *arguments) for _ in range(rounds))


def fastest_seconds(rounds: int, calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the seconds of each call in its fastest round; the calls alternate."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return {name: min(values) for name, values in times.items()}


def resident_bytes(field: Literal["VmRSS", "VmHWM"]) -> int:
    """Return the resident memory of this process now, VmRSS, or at its peak, VmHWM.

    getrusage would include the peak of the parent process.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in status if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024

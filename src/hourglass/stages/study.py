"""Stage `study`: a trained network -> what its codes are good for, in tables and pictures."""

import json
from pathlib import Path
from typing import Any

from hourglass.data.packed import Prepared
from hourglass.errors import Refusal
from hourglass.files import sha256, whole_folder, write_json, write_text
from hourglass.tracking.evidence import WEIGHTS
from hourglass.tracking.parts import STUDIED
from hourglass.tracking.recorder import Recorder
from hourglass.workspace import Cell, references_folder


def study(data: str, model: str) -> Path:
    """Measure and draw what the codes of a trained network are good for.

    As features, in compression and search, in denoising and other restoration, and in generation; a
    map of them, what lies between and around them. Writes to runs/<data>/<model>/study/:
    metrics.json, timing.json, tables/ and figures/. Of a data set that is not studied (`study` in
    params.yaml) they hold nothing but the reason.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model

    """
    cell = Cell(data, model)
    cell.need_training()
    prepared = Prepared.open(cell.prepared)
    if reason := _unstudied(data):
        with whole_folder(cell / "study") as folder:
            _write({}, {}, folder)
            for name in STUDIED:  # of an empty one DVC would warn
                write_text(folder / name / "not_studied.txt", f"{reason}\n")
        return cell / "study/metrics.json"
    with Recorder() as recorder:
        with whole_folder(cell / "study") as folder:
            _measure(cell, prepared, folder)
            recorder.ask("row")  # where the store refuses what it is told, nothing is kept
        recorder.complete(cell)
    return cell / "study/metrics.json"


def _unstudied(data: str) -> str:
    """Return why a data set is not studied, as `references` left it; nothing where it is."""
    path = references_folder(data) / "references.json"
    if not path.exists():
        command = f"hourglass references {data}"
        raise Refusal(f"{path.as_posix()} is missing; run `{command}` or `dvc repro` first.")
    return str(json.loads(path.read_text(encoding="utf-8")).get("because", ""))


def _measure(cell: Cell, prepared: Prepared, folder: Path) -> None:
    """Write everything to `folder`."""
    from tqdm import tqdm

    from hourglass.figures import save
    from hourglass.latent.findings import Findings
    from hourglass.latent.parts import parts_of
    from hourglass.latent.references import References
    from hourglass.latent.space import Space
    from hourglass.weights import load, trained_with

    seed = int(trained_with(cell.folder)["seed"])
    space = Space.of(prepared, load(cell.folder), seed)
    references, found = References.load(references_folder(cell.data)), Findings()
    with tqdm(
        parts_of(space, references).items(), desc=cell.name, unit="part", disable=None
    ) as bar:
        for name, part in bar:
            bar.set_postfix_str(name)
            found |= part()
    studied = {WEIGHTS: sha256(cell / "weights.safetensors")}
    _write(dict(found.metrics), {**found.timing, **studied}, folder)
    for name, table in found.tables.items():
        table.to_csv(folder / "tables" / f"{name}.csv", index=False, lineterminator="\n")
    for name, figure in found.figures.items():
        save(figure, folder / "figures" / f"{name}.png")


def _write(metrics: dict[str, float], timing: dict[str, Any], folder: Path) -> None:
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "timing.json", timing)
    for name in STUDIED:
        (folder / name).mkdir()

"""Stage `study`: measure and plot applications of a trained network's latent codes."""

import json
from pathlib import Path
from typing import Any

from hourglass.core.atomic import sha256, write_json, write_text
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell, references_folder
from hourglass.data.prepared_data import Prepared
from hourglass.stages.output import cell_stage

WEIGHTS = "weights.safetensors"
SPARSE = "hourglass.networks.sparse.SparseDictionary"


def study(data: str, model: str) -> Path:
    """Measure and plot applications of a trained network's latent codes.

    The applications are a map of the codes, features for classifiers and search, compression,
    interpolation, neighbourhoods, generation and restoration. Sparse codes are also measured unit
    by unit. Writes metrics.json, tables/ and figures/ to runs/<data>/<model>/study/. If the data
    set is not studied (see `study` in params.yaml), metrics.json is empty and not_studied.txt
    contains the reason, unless the codes are sparse.

    Examples:
        hourglass study digits denoising

    """
    cell, references = Cell(data, model), references_folder(data) / "references.json"
    with cell_stage("study", cell, "train") as output:
        if not references.exists():
            raise UserError(
                f"{references.as_posix()} is missing; run `hourglass references {data}` or `dvc "
                "repro` first."
            )
        content = json.loads(references.read_text(encoding="utf-8"))
        if reason := _skip_reason(cell, content):
            write_json(output.folder / "metrics.json", {})
            write_text(output.folder / "not_studied.txt", f"{reason}\n")
        else:
            output.timing |= _measure(cell, output.folder, not content.get("reason"))
    return cell / "study/metrics.json"


def _skip_reason(cell: Cell, references: dict[str, Any]) -> str:
    """Return the reason not to study a cell, or "", from the content of references.json.

    The class of the network is imported only if its codes may be sparse.
    """
    reason: str = references.get("reason", "")
    path: str = json.loads((cell / "train/network.json").read_text("utf-8"))["class_path"]
    if not reason or (path.startswith("hourglass.") and path != SPARSE):
        return reason
    from hourglass.networks.sparse import SparseDictionary
    from hourglass.networks.weights import load

    sparse = isinstance(load(cell.output("train")), SparseDictionary)
    return references.get("reason_sparse", reason) if sparse else reason


def _measure(cell: Cell, folder: Path, with_references: bool) -> dict[str, float]:
    """Run the analyses, write their results to `folder`, and return query times (ms) by name.

    Without references, as of a data set that is not studied, only sparse codes are analysed.
    """
    from hourglass.core.csv_formulas import write_csv
    from hourglass.core.progress_bar import ProgressBar
    from hourglass.evaluation.figures import save
    from hourglass.networks.weights import load, trained_with
    from hourglass.studies.analyses import select_analyses, select_sparse_analyses
    from hourglass.studies.latent_space import LatentSpace
    from hourglass.studies.reference_results import ReferenceResults
    from hourglass.studies.results import StudyResult

    train = cell.output("train")
    seed = int(trained_with(train)["seed"])
    prepared, network, result = Prepared.open(cell.prepared), load(train), StudyResult()
    analyses = select_sparse_analyses(prepared, network, seed)
    if with_references:
        space = LatentSpace.build(prepared, network, seed)
        references = ReferenceResults.load(references_folder(cell.data))
        analyses = select_analyses(space, references) | analyses
    with ProgressBar(analyses.items(), desc=f"study {cell.name}", unit=" analyses") as bar:
        for name, analyse in bar:
            bar.set_postfix_str(name)
            result |= analyse()
    for name in ("tables", "figures"):
        (folder / name).mkdir()
    for name, table in result.tables.items():
        write_csv(table, folder / "tables" / f"{name}.csv")
    for name, figure in result.figures.items():
        save(figure, folder / "figures" / f"{name}.png", name=cell.title)
    write_json(folder / "metrics.json", dict(result.metrics))
    write_json(folder / "inputs.json", {WEIGHTS: sha256(train / WEIGHTS)})
    return dict(result.timing)

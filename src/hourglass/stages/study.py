"""Stage `study`: a trained network -> what its codes are good for, in tables and pictures."""

import json
from pathlib import Path

from hourglass.core.atomic import sha256, write_json, write_text
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell, references_folder
from hourglass.data.prepared import Prepared
from hourglass.stages.output import cell_stage

WEIGHTS = "weights.safetensors"


def study(data: str, model: str) -> Path:
    """Measure and draw what the codes of a trained network are good for.

    As features, in compression and search, in denoising and other restoration, and in generation; a
    map of the codes, interpolation between them and neighbourhoods around them. Writes to
    runs/<data>/<model>/study/: metrics.json, tables/ and figures/. If the data set is not studied
    (`study` in params.yaml), the folder holds the reason.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model

    """
    cell = Cell(data, model)
    with cell_stage("study", cell, "train") as output:
        if reason := _unstudied(data):
            write_json(output.folder / "metrics.json", {})
            write_text(output.folder / "not_studied.txt", f"{reason}\n")
        else:
            output.timing |= _measure(cell, output.folder)
    return cell / "study/metrics.json"


def _unstudied(data: str) -> str:
    """Return why a data set is not studied, as `references` left it; nothing where it is."""
    path = references_folder(data) / "references.json"
    if not path.exists():
        command = f"hourglass references {data}"
        raise UserError(f"{path.as_posix()} is missing; run `{command}` or `dvc repro` first.")
    return str(json.loads(path.read_text(encoding="utf-8")).get("because", ""))


def _measure(cell: Cell, folder: Path) -> dict[str, float]:
    """Write everything to `folder`; return how long queries took."""
    from tqdm import tqdm

    from hourglass.evaluation.figures import save
    from hourglass.networks.weights import load, trained_with
    from hourglass.studies.analyses import analyses_of
    from hourglass.studies.latent_codes.latent_space import LatentSpace
    from hourglass.studies.references import References
    from hourglass.studies.results import StudyResult

    trained = cell.output("train")
    seed = int(trained_with(trained)["seed"])
    space = LatentSpace.of(Prepared.open(cell.prepared), load(trained), seed)
    references, found = References.load(references_folder(cell.data)), StudyResult()
    analyses = analyses_of(space, references).items()
    with tqdm(analyses, desc=cell.name, unit="analysis", disable=None) as bar:
        for name, analysis in bar:
            bar.set_postfix_str(name)
            found |= analysis()
    for name in ("tables", "figures"):
        (folder / name).mkdir()
    for name, table in found.tables.items():
        table.to_csv(folder / "tables" / f"{name}.csv", index=False, lineterminator="\n")
    for name, figure in found.figures.items():
        save(figure, folder / "figures" / f"{name}.png")
    write_json(folder / "metrics.json", dict(found.metrics))
    write_json(folder / "inputs.json", {WEIGHTS: sha256(trained / WEIGHTS)})
    return dict(found.timing)

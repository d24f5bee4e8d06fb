"""Stage `snapshot`: settings and code digests of each cell, as files that DVC stages depend on."""

from hourglass.core.atomic import write_json
from hourglass.core.code_digest import code_digest
from hourglass.core.paths import SNAPSHOT, Cell
from hourglass.core.settings import cell_config, data_config, model_config, params
from hourglass.stages.output import stage_folder

CELL_STAGES = ("train", "calibrate-threshold", "evaluate", "study")
OTHER_STAGES = ("baselines", "references", "compare")


def snapshot() -> None:
    """Write the settings of single cells and the digests of executed code to runs/.snapshot.

    A stage depends on its own file here, so it runs again if its code or its settings change, and
    not otherwise. DVC cannot depend on a file that may be missing: a cell without a file in
    configs/cell has {} as its settings. For each cell there is a folder with one file per stage;
    data/<data>.json is for `prepare`, <stage>.json for all other stages.
    """
    own = params()
    with stage_folder("snapshot", SNAPSHOT) as folder:
        for data in own.data:
            module = _module(data_config(data))
            code = code_digest("hourglass.stages.prepare", "hourglass.data.prepare", module)
            write_json(folder / "data" / f"{data}.json", {"code": code})
            for cell in (Cell(data, model) for model in own.models):
                for stage, content in _cell(cell).items():
                    write_json(folder / cell.name / f"{stage}.json", content)
        for stage in OTHER_STAGES:
            write_json(folder / f"{stage}.json", {"code": code_digest(_entry(stage))})
        trial = {"code": code_digest("hourglass.tuning.trial")}
        write_json(folder / "tune.json", trial)


def _cell(cell: Cell) -> dict[str, dict[str, object]]:
    """Return the content of a cell's files, by stage.

    The module of the variant decides what `train` gives. A variant outside this package may bring
    its own network, which the later stages execute as well.
    """
    module = _module(model_config(cell.model))
    brings_network = [] if module.startswith("hourglass.") else [module]
    found: dict[str, dict[str, object]] = {
        stage: {"code": code_digest(_entry(stage), *brings_network)} for stage in CELL_STAGES
    }
    found["train"] = {
        "settings": cell_config(cell),
        "code": code_digest(_entry("train"), module),
    }
    return found


def _entry(stage: str) -> str:
    return f"hourglass.stages.{stage.replace('-', '_')}"


def _module(config: dict[str, object]) -> str:
    """Return the module of the class that a file of configs/ names."""
    return str(config.get("class_path", "")).rpartition(".")[0]

"""Stage `snapshot`: settings, code and data digests, as files on which DVC stages depend."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

from hourglass.core.atomic import sha256, write_json
from hourglass.core.code_digest import PACKAGE, code_digest, package_digest, source_file
from hourglass.core.errors import UserError
from hourglass.core.paths import CONFIGS, PARAMS, SNAPSHOT, SOURCES, Cell, root, valid_name
from hourglass.core.settings import Params, cell_config, data_config, model_config, params
from hourglass.core.trusted_imports import external_modules
from hourglass.core.yaml_config import module_of, read
from hourglass.data.own_digests import own_digests
from hourglass.models import VARIANTS
from hourglass.stages.baselines import feature_models
from hourglass.stages.output import stage_folder

CELL_STAGES = ("train", "calibrate-threshold", "evaluate", "study")
OTHER_STAGES = ("baselines", "references", "compare")
SCORING_STAGES = ("calibrate-threshold", "evaluate")  # use the scorer and the calibrators
CALIBRATING_STAGES = ("baselines", "compare")  # use the calibrators only
INSTALLED = "installed.json"  # digests of modules outside src, which DVC does not track


def snapshot() -> None:
    """Write the settings of single cells, and digests of code and own data, for DVC stages.

    Each stage depends on one file in runs/.snapshot, so DVC re-runs it only if its code or settings
    change. A cell has a folder with one file per stage, `prepare` has data/<data>.json, and every
    other stage has <stage>.json. DVC cannot depend on a file that may be missing, so a cell without
    a file in configs/cell has the settings {}.

    Examples:
        hourglass snapshot

    """
    grid = params()
    _require_tracked(grid)
    external = _external_modules()
    with stage_folder("snapshot", SNAPSHOT) as folder:
        for data in grid.data:
            config, file = data_config(data), Path("data", f"{data}.json")
            modules = _modules(config, f"configs/data/{data}.yaml")
            code = code_digest("hourglass.stages.prepare", "hourglass.data.prepare", *modules)
            own = own_digests(config, SNAPSHOT / file)
            write_json(folder / file, {"code": code, **({"own": own} if own else {})})
            for cell in (Cell(data, model) for model in grid.models):
                for stage, content in _cell(cell, external).items():
                    write_json(folder / cell.name / f"{stage}.json", content)
        for stage in OTHER_STAGES:
            code = code_digest(_entry(stage), *external[stage])
            used = {"features": _features(grid)} if stage == "baselines" else {}
            write_json(folder / f"{stage}.json", {"code": code, **used})
        write_json(folder / "tune.json", {"code": code_digest("hourglass.tuning.trial")})
        write_json(folder / INSTALLED, _installed_digests())


def installed_code_changed() -> bool:
    """Return True if modules outside src have changed since the last snapshot."""
    path = SNAPSHOT / INSTALLED
    return path.exists() and json.loads(path.read_text(encoding="utf-8")) != _installed_digests()


def _require_tracked(grid: Params) -> None:
    """Raise a UserError if an experiment's copy of the project lacks settings of the original.

    DVC copies only files that git tracks. A missing file of a cell would mean default settings.
    """
    cells = [Cell(data, model) for data in grid.data for model in grid.models]
    paths = [
        *(CONFIGS / "data" / f"{data}.yaml" for data in grid.data),
        *(CONFIGS / "model" / f"{model}.yaml" for model in grid.models),
        CONFIGS / "trainer" / f"{valid_name(grid.trainer)}.yaml",
        *(cell.config for cell in cells),
    ]
    lacking = [path for path in paths if not path.exists() and (root() / path).exists()]
    if lacking:
        names = " ".join(path.as_posix() for path in lacking)
        raise UserError(
            f"git does not track {names}, so this experiment's copy of the project lacks it; run "
            f"`git add {names}` and start the experiment again."
        )


def _cell(cell: Cell, external: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """Return the content of a cell's files by stage; `external` comes from `_external_modules`.

    A variant of this package affects only `train`. A variant outside this package affects all
    stages, because its module may define a network, and later stages execute it.
    """
    modules = _modules(model_config(cell.model), f"configs/model/{cell.model}.yaml")
    own_modules = [module for module in modules if not module.startswith("hourglass.")]
    inner = [*_inner_variants(model_config(cell.model)), *_inner_variants(cell_config(cell))]
    content: dict[str, dict[str, Any]] = {}
    for stage in CELL_STAGES:
        own = [*modules, *inner] if stage == "train" else own_modules
        content[stage] = {"code": code_digest(_entry(stage), *own, *external[stage])}
    content["train"] = {"settings": cell_config(cell), **content["train"]}
    for config in (model_config(cell.model), cell_config(cell)):
        weights = Path(str((config.get("init_args") or {}).get("weights") or ""))
        if weights.is_file():  # of a backbone, or of an imported dictionary
            content["train"]["weights"] = sha256(weights)
            settings = weights.with_name("cfg.json")  # of a dictionary of SAELens
            if settings.is_file():
                content["train"]["dictionary"] = sha256(settings)
    stage = "calibrate-threshold"
    content[stage] = {"settings": _calibration_settings(), **content[stage]}
    return content


def _features(grid: Params) -> dict[str, Any]:
    """Return the settings of the features that baselines of images use."""
    models = {model: model_config(model) for model in feature_models(grid)}
    return {"models": models, "maps": grid.pixel_threshold} if models else {}


def _inner_variants(config: dict[str, Any]) -> list[str]:
    """Return the modules of this package with the variants that a variant trains, if it names any.

    They are named under `variant`, or in the list `variants` of an ensemble.
    """
    settings = config.get("init_args") or {}
    modules = []
    for named in [settings.get("variant"), *(settings.get("variants") or ())]:
        if not isinstance(named, dict):
            continue  # training says so if it is wrong
        module, _, name = str(named.get("class_path", "")).rpartition(".")
        if module == "hourglass.models":  # a public name, imported from its own module
            module += "".join(f".{file}" for file, variant in VARIANTS.items() if variant == name)
        modules.append(module)
    return [name for name in modules if name.startswith("hourglass.models.") and source_file(name)]


def _calibration_settings() -> dict[str, Any]:
    """Return the settings as written; `params` would construct nested scorers."""
    settings, compared = read(PARAMS, None), read(CONFIGS / "calibrators.yaml", None)
    names = [name for name in ("score", "calibration", "pixel_threshold") if name in settings]
    return {name: settings[name] for name in names} | {"compared": compared}


def _entry(stage: str) -> str:
    return f"hourglass.stages.{stage.replace('-', '_')}"


def _modules(config: dict[str, Any], source: str) -> list[str]:
    """Return the module of `class_path` and all modules outside this package in a configuration.

    `source` is the path of its file, for error messages.
    """
    class_path = config.get("class_path", "")
    module = module_of(class_path, source)
    if source_file(module) is None:
        raise UserError(
            f"{source}: class_path {class_path!r} cannot be imported: {module} has no source file."
        )
    return sorted({module, *_with_source(config)})


def _external_modules() -> dict[str, list[str]]:
    """Return the modules outside this package named in the shared settings, by stage."""
    settings = read(PARAMS, None)  # as written: `params` would construct nested scorers
    trainer = valid_name(settings["trainer"])
    calibrators = [settings["calibration"], read(CONFIGS / "calibrators.yaml", None)]
    named: dict[str, list[Any]] = {
        **{stage: [] for stage in (*CELL_STAGES, *OTHER_STAGES)},
        **dict.fromkeys(CALIBRATING_STAGES, calibrators),
        "train": [read(CONFIGS / "trainer" / f"{trainer}.yaml", None)],
    }
    named |= {stage: [settings["score"], *calibrators] for stage in SCORING_STAGES}
    return {stage: _with_source(values) for stage, values in named.items()}


def _with_source(settings: Any) -> list[str]:
    return sorted(module for module in external_modules(settings) if source_file(module))


def _installed_digests() -> dict[str, str]:
    """Return the digests of all configured modules outside src, by module name.

    Also that of this package, except in a checkout, where it is in src.
    """
    grid, tracked = params(), SOURCES.absolute()
    configs = [*map(data_config, grid.data), *map(model_config, grid.models)]
    modules = {*_with_source(configs), *chain(*_external_modules().values())}
    digests = {
        module: code_digest(module)
        for module in sorted(modules)
        if not (source_file(module) or Path()).absolute().is_relative_to(tracked)
    }
    return digests if (SOURCES / PACKAGE).is_dir() else digests | {PACKAGE: package_digest()}

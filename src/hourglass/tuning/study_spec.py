"""The study specification: every setting that affects a trial's result. Its digest names the study.

Trials of different settings, data or code cannot be compared, so they never share a study.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

from hourglass.core.code_digest import code_digest, source_file
from hourglass.core.errors import UserError
from hourglass.core.paths import CONFIGS, PARAMS, Cell, valid_name
from hourglass.core.settings import (
    EXTRA_TRAINER_KEYS,
    cell_config,
    data_config,
    model_config,
    params,
)
from hourglass.core.yaml_config import Yaml, build, mapping, read
from hourglass.data.prepared_data import Prepared
from hourglass.tuning.objectives import Objective

# Methods that stop trials early; no trial's result depends on them, so they are not in a StudySpec.
Pruner: TypeAlias = Literal["median", "hyperband", "none"]
OBJECTIVES, SPACES = CONFIGS / "tune" / "objective", CONFIGS / "tune" / "space"
DEFAULT_SPACE = "default"  # of data sets without a search space of their name
ERROR_SYNONYMS = ("mse", "validation_error", "loss", "error")  # other names of reconstruction_error
# Trainer settings that affect the speed of a training, but not its result.
SPEED_ONLY_KEYS = ("accelerator", "devices", "strategy", "num_nodes", *EXTRA_TRAINER_KEYS)


@dataclass(frozen=True)
class StudySpec:
    """The specification of a study: a cell, and the names of an objective and a search space."""

    cell: Cell
    objective: str
    space: str

    @classmethod
    def of(cls, cell: Cell, objective: str, space: str | None) -> "StudySpec":
        """Return the specification; the default space is the data set's, or 'default' without one.

        Raises a UserError for an unknown name.
        """
        default = cell.data if (SPACES / f"{cell.data}.yaml").exists() else DEFAULT_SPACE
        spec = cls(cell, objective, space or default)
        if objective in ERROR_SYNONYMS:
            raise UserError(
                f"unknown objective {objective!r}: the reconstruction error is called "
                "reconstruction_error, and it cannot choose a bottleneck, because a wider one "
                "always reconstructs better."
            )
        spec.make_objective()
        read(spec.space_file, None)
        return spec

    @property
    def space_file(self) -> Path:
        """Return the path of the search space's YAML file."""
        return SPACES / f"{valid_name(self.space)}.yaml"

    def make_objective(self) -> Objective:
        """Build the objective from configs/tune/objective/<name>.yaml."""
        path = OBJECTIVES / f"{valid_name(self.objective)}.yaml"
        config = read(path, ("class_path", "init_args"))
        objective: Objective = build(config, Objective, path.as_posix())
        return objective

    @cached_property
    def study_name(self) -> str:
        """Return the name of the study: cell, objective, and a digest of all settings."""
        text = json.dumps(self.settings, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return f"{self.cell.name}-{self.objective}-{digest}"

    def differences(self, settings: Yaml) -> list[str]:
        """Return the names of the settings that differ from those of another study."""
        return [key for key in self.settings if self.settings[key] != settings.get(key)]

    @cached_property
    def settings(self) -> Yaml:
        """Return every setting that affects a trial's result, read from files at the first access.

        Searched settings are excluded, so applying the best values does not change the study.
        """
        workspace, shared = params(), data_config(self.cell.data)
        variant, space = model_config(self.cell.model), read(self.space_file, None)
        objective = read(OBJECTIVES / f"{self.objective}.yaml", None)
        trainer = read(CONFIGS / "trainer" / f"{valid_name(workspace.trainer)}.yaml", None)
        score = read(PARAMS, None)["score"]  # as written: `params` would construct nested scorers
        fixed: Yaml = {}
        overrides = cell_config(self.cell).get("init_args")
        for init_args in (shared.get("model"), variant.get("init_args"), overrides):
            fixed |= mapping(init_args, self.cell.name)
        searched = self._searched(space)
        return {
            "data": Prepared.open(self.cell.prepared).card["sha256"],
            "class_path": variant.get("class_path"),
            "settings": {key: fixed[key] for key in sorted(fixed) if key not in searched},
            "training": shared.get("training"),
            "seed": workspace.seed,
            "score": score,
            "trainer": {key: trainer[key] for key in trainer if key not in SPEED_ONLY_KEYS},
            "objective": objective,
            "space": space,
            "code": _trial_code_digest(variant, objective, mapping(score, "score")),
        }

    def _searched(self, space: Yaml) -> set[str]:
        """Return the names of the searched settings, including those in groups of a space."""
        source, names = self.space_file.as_posix(), set(space)
        for value in space.values():
            if isinstance(value, dict) and "one_of" in value:
                for settings in mapping(value["one_of"], source).values():
                    names |= mapping(settings, source).keys()
        return names


def _trial_code_digest(*configs: Yaml) -> str:
    """Return a digest of the code of a trial, including the classes named in `configs`."""
    modules = []
    for config in configs:
        class_path = str(config.get("class_path", ""))
        modules.append(class_path.rpartition(".")[0])
        if source_file(modules[-1]) is None:
            raise UserError(
                f"class_path {class_path!r} cannot be imported; correct it or install its package."
            )
    return code_digest("hourglass.tuning.trial", *modules)

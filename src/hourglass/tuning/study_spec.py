"""What a study asks: everything that decides what a trial gives, and so the study's name."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hourglass.core.code_digest import code_digest, source_file
from hourglass.core.errors import UserError
from hourglass.core.paths import CONFIGS, Cell, valid_name
from hourglass.core.settings import (
    EXTRA_TRAINER_KEYS,
    cell_config,
    data_config,
    model_config,
    params,
)
from hourglass.core.yaml_config import Yaml, build, mapping, read
from hourglass.data.prepared import Prepared
from hourglass.tuning.objectives import Objective

OBJECTIVES, SPACES = CONFIGS / "tune" / "objective", CONFIGS / "tune" / "space"
ERRORS = ("mse", "validation_error", "loss", "error")  # what people call the reconstruction error
# Of a trainer: where and how, not what.
PLACES = ("accelerator", "devices", "strategy", "num_nodes", *EXTRA_TRAINER_KEYS)


@dataclass(frozen=True)
class StudySpec:
    """Ask for the best settings of a cell by an objective, within a space; both by file name."""

    cell: Cell
    objective: str
    space: str

    @classmethod
    def of(cls, cell: Cell, objective: str, space: str | None) -> "StudySpec":
        """Return the question; without a `space`, in that of the data set or else the default.

        Raises a UserError for an unknown name.
        """
        own = (SPACES / f"{cell.data}.yaml").exists()
        found = cls(cell, objective, space or (cell.data if own else "default"))
        if objective in ERRORS:
            raise UserError(
                f"{objective!r} is the reconstruction error; as an objective it is called "
                "reconstruction_error, and it cannot choose a bottleneck: a wider one is better."
            )
        found.make_objective()
        read(found.space_file, None)
        return found

    @property
    def space_file(self) -> Path:
        """Return the file of the space."""
        return SPACES / f"{valid_name(self.space)}.yaml"

    def make_objective(self) -> Objective:
        """Return the objective that configs/tune/objective/<name>.yaml describes."""
        path = OBJECTIVES / f"{valid_name(self.objective)}.yaml"
        found: Objective = build(
            read(path, ("class_path", "init_args")), Objective, path.as_posix()
        )
        return found

    @cached_property
    def study(self) -> str:
        """Return the study's name: what it is about, and a digest of all that it asks."""
        text = json.dumps(self.asked, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return f"{self.cell.name}-{self.objective}-{digest}"

    def differs(self, before: Yaml) -> list[str]:
        """Return the names of what another study asked differently."""
        return [key for key in self.asked if self.asked[key] != before.get(key)]

    @cached_property
    def asked(self) -> Yaml:
        """Return everything that decides what a trial gives, as the files were at the first look.

        What is searched is no part of it: the best values, once they are applied, ask nothing new.
        """
        own, shared, variant = params(), data_config(self.cell.data), model_config(self.cell.model)
        space = read(self.space_file, None)
        trainer = read(CONFIGS / "trainer" / f"{valid_name(own.trainer)}.yaml", None)
        parts = (
            shared.get("model"),
            variant.get("init_args"),
            cell_config(self.cell).get("init_args"),
        )
        settings: Yaml = {}
        for each in parts:
            settings |= mapping(each, self.cell.name)
        asked: Yaml = {
            "data": Prepared.open(self.cell.prepared).card["sha256"],
            "class_path": variant.get("class_path"),
            "settings": {
                key: settings[key] for key in sorted(settings) if key not in _searched(space)
            },
            "training": shared.get("training"),
            "seed": own.seed,
            "score": own.score,
            "trainer": {key: each for key, each in trainer.items() if key not in PLACES},
            "objective": read(OBJECTIVES / f"{self.objective}.yaml", None),
            "space": space,
            "code": _code(variant.get("class_path", "")),
        }
        return asked


def _searched(space: Yaml) -> set[str]:
    """Return the settings that a space names, those of its groups' kinds included."""
    kinds = [
        each["one_of"] for each in space.values() if isinstance(each, dict) and "one_of" in each
    ]
    inner = [name for group in kinds for settings in group.values() for name in settings]
    return {*space, *inner}


def _code(class_path: str) -> str:
    """Return a digest of the code that a trial of this variant runs."""
    module = class_path.rpartition(".")[0]
    if source_file(module) is None:
        raise UserError(f"class_path {class_path!r} cannot be imported.")
    return code_digest("hourglass.tuning.trial", module)

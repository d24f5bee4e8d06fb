"""Command `import`: add a sparse dictionary that was trained elsewhere as a variant."""

import os
from pathlib import Path

from hourglass.core.atomic import write_text
from hourglass.core.errors import UserError
from hourglass.core.paths import CONFIGS, root, valid_name
from hourglass.core.yaml_edit import edited_yaml

HEADER = "A sparse dictionary that was trained elsewhere; training does not change it."


def import_(dictionary: Path, name: str) -> Path:
    """Add a sparse dictionary that SAELens or `hourglass export --sae` wrote as a variant.

    Checks the files, and writes configs/model/<name>.yaml, which names them. The variant then
    trains, that is, takes the weights, on any data set whose samples have as many elements as the
    dictionary has inputs; its cells are calibrated, evaluated and studied as all others.

    Args:
        dictionary: a folder with cfg.json and sae_weights.safetensors
        name: the name of the new variant

    Examples:
        hourglass import downloads/layer_8 imported

    """
    path = CONFIGS / "model" / f"{valid_name(name)}.yaml"
    if path.exists():
        raise UserError(f"{path.as_posix()} exists; give the dictionary another name.")
    from hourglass.networks.sae_files import WEIGHTS, read_dictionary

    network = read_dictionary(dictionary)
    weights = (dictionary / WEIGHTS).absolute()
    inside = weights.is_relative_to(root().absolute())
    place = Path(os.path.relpath(weights)).as_posix() if inside else weights.as_posix()

    def describe(document: object) -> None:
        document.update(  # type: ignore[attr-defined]
            {"class_path": "hourglass.models.imported.Imported", "init_args": {"weights": place}}
        )

    write_text(path, edited_yaml(path, describe, HEADER))
    inputs, units = network.dictionary
    print(
        f"{path.as_posix()} names a {network.sparsity} dictionary of {inputs:,} inputs and "
        f"{units:,} units; continue with `hourglass train <data> {name}`"
    )
    if not inside:
        print(
            f"its files are outside this workspace; to train {name} in another clone, copy them to "
            "data/own and import them from there"
        )
    return path

"""Command `export`: write a cell as an ONNX file, or as a sparse dictionary for SAELens."""

import json
from pathlib import Path

from hourglass.core.atomic import atomic_file
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.progress import step


def export(data: str, model: str, onnx: Path | None = None, sae: Path | None = None) -> Path:
    """Write a detector as an ONNX file, with encoding, network, score and threshold inside.

    The input `x` holds unscaled samples for any N: uint8 images (N, C, H, W), or a table as float64
    codes (N, C) in the order of `columns` in the file's metadata, which lists the name, kind and
    levels of each. The code of a number is the number, of a truth value 0 or 1, of a date the
    seconds since 1970 in UTC, of a category the index of its level, or the number of levels for
    any other value; NaN is a missing cell. For a series, `x` holds windows of the codes of its
    channels, (N, window, C), without time and entity, and the score is that of a window. The
    outputs are `score` (float64), `alarm` (bool) and `reconstruction`, in the units of `x`. A row
    without any value has no meaningful score. The file is kept only if onnxruntime, or onnx if that
    is missing, computes the detector's scores from it for random samples, to within 1e-5 (relative
    for scores above 1). Needs the extra `onnx`.

    With --sae, writes a sparse dictionary instead, without a threshold of scores: a folder with
    cfg.json and sae_weights.safetensors that SAELens loads. It takes unscaled vectors: flattened
    images, or the columns of a table of numbers.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        onnx: the file to write; <data>-<model>.onnx in the working folder if omitted
        sae: the folder to write, for SAELens

    Examples:
        hourglass export digits denoising --onnx detector.onnx

    """
    cell = Cell(data, model)
    if sae:
        if onnx:
            raise UserError("give --onnx or --sae, not both.")
        return _export_dictionary(cell, sae)
    path = onnx or Path(f"{cell.name}.onnx")
    if path.suffix != ".onnx":
        raise UserError(f"onnx is {path}; give a file that ends in .onnx.")
    from hourglass.detection.detector import Detector
    from hourglass.serving import onnx_export

    detector = Detector.of_cell(cell)
    metadata = {
        "cell": cell.name,
        "feature_names": json.dumps(detector.feature_names),
        "columns": json.dumps([column.to_dict() for column in detector.columns]),
        "threshold": repr(detector.threshold.value),
        "score": str(detector.scoring.scorer),
        "weights_sha256": detector.weights_sha256,
    }
    model_proto = onnx_export.to_onnx(detector, metadata)
    with step(f"export {cell.name}"), atomic_file(path) as temporary:
        temporary.write_bytes(model_proto.SerializeToString(deterministic=True))
        runtime = onnx_export.verify(temporary, detector, onnx_export.probe_samples(detector))
    print(f"{path.as_posix()} gives the scores of {cell.name} (checked with {runtime})")
    return path


def _export_dictionary(cell: Cell, folder: Path) -> Path:
    """Write the sparse dictionary of a trained cell for SAELens."""
    cell.require("train")
    from hourglass.data.prepared_data import Prepared
    from hourglass.data.scaling import affine_constants
    from hourglass.networks.sae_files import CONFIG, WEIGHTS, write_dictionary
    from hourglass.networks.sparse import SparseDictionary
    from hourglass.networks.weights import load

    network, prepared = load(cell.output("train")), Prepared.open(cell.prepared)
    if not isinstance(network, SparseDictionary):
        raise UserError(
            f"{cell.title} is no sparse dictionary, of one linear encoder and decoder; train the "
            "variant sparse with one of the sparsities topk, batch_topk, jumprelu, gated or "
            "matryoshka."
        )
    kept = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    if folder.exists() and not kept <= {CONFIG, WEIGHTS}:
        raise UserError(f"{folder} exists and holds other files; name another folder.")
    offset, scale = affine_constants(prepared.scaling, prepared.input_shape)
    names = {"data": cell.data, "model": cell.model, "sparsity": network.sparsity}
    with step(f"export {cell.name}"):
        write_dictionary(network, folder, offset, scale, {"hourglass": names})
    print(f"{folder.as_posix()} holds the dictionary of {cell.name}, for SAE.load_from_disk")
    return folder

"""Checksums of the data files that scikit-learn bundles."""

import hashlib
from importlib.resources import files


def bundled_checksums(*names: str) -> dict[str, str]:
    """Return {file: SHA-256} of files below sklearn/datasets, for `Raw.source["files"]`."""
    folder = files("sklearn.datasets")
    return {
        f"sklearn/datasets/{name}": hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in names
    }

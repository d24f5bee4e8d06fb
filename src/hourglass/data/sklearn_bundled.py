"""Checksums of the data files that scikit-learn bundles."""

import hashlib
from importlib.resources import files


def bundled_checksum(name: str, folder: str = "data") -> dict[str, str]:
    """Return {file: SHA-256} of a bundled file, in the form of `Raw.source["files"]`."""
    content = (files("sklearn.datasets") / folder / name).read_bytes()
    return {f"sklearn/datasets/{folder}/{name}": hashlib.sha256(content).hexdigest()}

"""Fingerprint the data sets that scikit-learn carries along."""

import hashlib
from importlib.resources import files


def fingerprint(name: str) -> dict[str, str]:
    """Return the SHA-256 of scikit-learn's file `name`, as `Raw.source["files"]` wants it."""
    content = (files("sklearn.datasets") / "data" / name).read_bytes()
    return {f"sklearn/datasets/data/{name}": hashlib.sha256(content).hexdigest()}

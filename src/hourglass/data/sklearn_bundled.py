"""Fingerprint the data sets that scikit-learn carries along."""

import hashlib
from importlib.resources import files


def fingerprint(name: str, folder: str = "data") -> dict[str, str]:
    """Return the SHA-256 of scikit-learn's file `name`, as `Raw.source["files"]` wants it.

    `folder` is the one of sklearn/datasets that it stands in.
    """
    content = (files("sklearn.datasets") / folder / name).read_bytes()
    return {f"sklearn/datasets/{folder}/{name}": hashlib.sha256(content).hexdigest()}

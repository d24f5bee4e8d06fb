"""Build the scorer named in params.yaml."""

from typing import Any

from hourglass.core.yaml_config import build
from hourglass.detection.scorers import Scorer


def make_scorer(config: dict[str, Any]) -> Scorer:
    """Return the scorer configured by `score` in params.yaml."""
    scorer: Scorer = build(config, Scorer, "params.yaml, score")
    return scorer

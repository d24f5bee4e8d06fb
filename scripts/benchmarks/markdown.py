"""Tables as Markdown."""

from collections.abc import Sequence

import pandas as pd


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Return rows as a Markdown table; what a row lacks is left empty."""
    return (
        pd.DataFrame(list(rows)).fillna("").to_markdown(index=False, disable_numparse=True) + "\n"
    )

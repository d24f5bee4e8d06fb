"""What all figures share: colours, names as they are written, and how they are saved."""

from pathlib import Path

from matplotlib.figure import Figure

NORMAL, ANOMALY, MARK = "#3b6fb6", "#d1603d", "#333333"
DPI = 110


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    # Without the software's version the bytes are the same on every run.
    figure.savefig(path, dpi=DPI, metadata={"Software": None})


def literal(text: str) -> str:
    """Return a user's text so that matplotlib takes no dollar in it for mathematics."""
    return text.replace("$", r"\$")

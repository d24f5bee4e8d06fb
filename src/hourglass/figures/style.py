"""What all figures share: colours, names as they are written, and how they are saved."""

from pathlib import Path

from matplotlib.figure import Figure

NORMAL, ANOMALY, MARK = "#3b6fb6", "#d1603d", "#333333"
DPI = 110


def save(figure: Figure, path: Path, tight: bool = False) -> None:
    """Write a figure as PNG; a `tight` one with all that stands beyond its frame."""
    # Without the software's version the bytes are the same on every run.
    box = "tight" if tight else None
    figure.savefig(path, dpi=DPI, metadata={"Software": None}, bbox_inches=box)


def literal(text: str) -> str:
    """Return a user's text so that matplotlib takes no dollar in it for mathematics."""
    return text.replace("$", r"\$")

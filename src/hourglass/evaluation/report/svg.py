"""Figures of matplotlib as SVG inside a page: they take the page's fonts and colours."""

import io
import re
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

# What to draw in: stand-ins, which the page's own colours replace.
INK, NORMAL, ANOMALY = "#010203", "#020304", "#030405"
COLOURS = {INK: "currentColor", NORMAL: "var(--normal)", ANOMALY: "var(--accent)"}
NAMESPACE = "http://www.w3.org/2000/svg"
DROPPED = ("metadata", "defs")  # the time, and a style sheet that would be the whole page's


def inline(figure: Figure, label: str) -> Markup:
    """Return a figure as an `svg` element whose text alternative is `label`.

    It holds no ids, which the figures of one page would share.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hourglass"}):
        figure.savefig(buffer, format="svg", transparent=True)
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.fromstring(buffer.getvalue())
    _clean(root)
    kept = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    root.attrib.clear()
    root.attrib.update(kept)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _clean(parent: ElementTree.Element) -> None:
    for child in list(parent):
        if child.tag.rpartition("}")[2] in DROPPED:
            parent.remove(child)
            continue
        for name in ("id", "clip-path"):
            child.attrib.pop(name, None)
        if "style" in child.attrib:
            child.attrib["style"] = _style(child.attrib["style"])
        if child.text and not child.text.strip():
            child.text = None
        child.tail = None
        _clean(child)


def _style(text: str) -> str:
    """Return a style with the page's colours and no font family."""
    for stand_in, colour in COLOURS.items():
        text = text.replace(stand_in, colour)
    return re.sub(r"font-family: [^;]*; ", "", text)

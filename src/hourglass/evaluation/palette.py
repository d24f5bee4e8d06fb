"""The colours of the report and of all figures, which colour-blind readers can distinguish.

Series also differ by dashes and markers, and anomalies are outlines, crosses or diamonds. The
lightness of the colours differs, so that they remain distinct in greyscale.
"""

# Per series: colour on white, and on a dark background. Normal samples have the first colour,
# anomalies the second.
SERIES = {
    "#1a6fc9": "#4d9bf5",
    "#cf5f35": "#ee8351",
    "#0e9a80": "#2db592",
    "#23235e": "#e3e0ff",
    "#b872c6": "#bb78cf",
    "#7b1535": "#d33f66",
}
COLOURS = tuple(SERIES)
NORMAL, ANOMALY = COLOURS[:2]
MARK, FAINT = "#333333", "#d9d9d9"
# SVG dash arrays. Their number and that of the colours have no common divisor, so that the first
# 30 series differ in the pair of both.
DASHES = ("none", "7 2.5", "2 2", "9 2.5 2 2.5", "4 2 1 2 1 2")
# Outlines of markers around (0, 0) as SVG paths, and Matplotlib's name of the same marker.
MARKERS = {
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z": "o",
    "M-3.6-3.6h7.2v7.2h-7.2z": "s",
    "M0-4.8 4.6 3.4h-9.2z": "^",
    "M0-5 5 0 0 5-5 0z": "D",
    "M0 4.8 4.6-3.4h-9.2z": "v",
    "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z": "P",
    "M-4-2-2-4 0-2 2-4 4-2 2 0 4 2 2 4 0 2-2 4-4 2-2 0z": "X",
}

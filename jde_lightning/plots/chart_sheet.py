"""Plotly figures inside one HTML file that needs no network: the library stands in it once."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

_DRAW = """
(function () {
  var config = {responsive: true, displaylogo: false, displayModeBar: false, doubleClick: "reset"};
  var touch = window.matchMedia("(pointer: coarse)").matches;
  document.querySelectorAll("script[data-chart]").forEach(function (source) {
    var figure = JSON.parse(source.textContent);
    if (touch) { figure.layout.dragmode = false; }  // the finger scrolls the page
    var target = document.getElementById(source.dataset.chart);
    Plotly.newPlot(target, figure.data, figure.layout, config);
  });
})();
"""


class ChartSheet:
    """Collects the figures of a page, and writes the scripts that draw them.

    Example:
        >>> sheet = ChartSheet()
        >>> body = [sheet.add(figure), sheet.scripts()]  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self._count = 0

    def add(self, figure: go.Figure, name: str | None = None) -> str:
        """Return the element of a figure.

        Args:
            figure: the figure; its layout has a height.
            name: id of the element, for scripts; a number if omitted.
        """
        self._count += 1
        name = name or f"chart-{self._count}"
        text = figure.to_json()  # Plotly escapes what could end a script element
        return (
            f'<div class="chart" id="{name}" style="min-height: {figure.layout.height}px"></div>'
            f'<script type="application/json" data-chart="{name}">{text}</script>'
        )

    def scripts(self) -> str:
        """The library and the script that draws, for the end of the page; nothing where there is no figure."""
        if not self._count:
            return ""
        return f"<script>{get_plotlyjs()}</script><script>{_DRAW}</script>"

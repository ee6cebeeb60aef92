"""SVG that other programs than browsers can draw."""

from xml.etree import ElementTree

import numpy as np

from jde_lightning.plots.svg import Run, Series, chart, timeline


def test_an_element_stands_on_its_own():
    series = Series("a & b", np.arange(1, 4), np.array([0.1, 0.2, 0.3]), (0, 0, 255))
    for text in (chart([series], 1, 3, [2], 1.0, "<label>"), timeline([Run(1, 3, (0, 0, 255), "3")], 1, 3, [2], "who")):
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"

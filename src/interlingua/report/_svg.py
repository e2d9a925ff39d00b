"""Turn a matplotlib figure into an ``svg`` element for use inside an HTML page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from xml.dom import minidom

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A style element would apply to the whole page; metadata only adds weight.
_DROPPED = ("metadata", "style")
_COORDINATES = ("d", "x", "y")
_LONG_NUMBER = re.compile(r"\d+\.\d{3,}")
# Other transforms scale, where two decimals are too few.
_SHIFTS = re.compile(r"(?:translate|rotate)\([^)]*\)")
_REFERENCE = re.compile(r"(url\(#|^#)([^)]+)")


def svg_element(figure: Figure, key: str, alt: str, colors: Mapping[str, str]) -> str:
    """Return a figure as SVG markup; equal figures give equal text.

    Args:
        figure: what is drawn.
        key: prefix of the ids in the SVG, unique on the page.
        alt: description for readers who do not see the picture.
        colors: hexadecimal colors by the name of the CSS custom property that replaces each.
    """
    from matplotlib import rc_context

    stream = io.BytesIO()
    # With this font type text stays text.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    root: Any = minidom.parseString(stream.getvalue()).documentElement
    for node in list(_descendants(root)):
        if node.nodeType == node.COMMENT_NODE or node.nodeName in _DROPPED:
            node.parentNode.removeChild(node)
    for node in list(_descendants(root)):
        if node.nodeName == "defs" and not any(child.nodeType == child.ELEMENT_NODE for child in node.childNodes):
            node.parentNode.removeChild(node)
    elements = [node for node in _descendants(root) if node.nodeType == node.ELEMENT_NODE]
    used = {name for element in elements for value in _values(element) for _, name in _REFERENCE.findall(value)}
    for element in elements:
        _shorten(element)
        for name, value in list(element.attributes.items()):
            if name == "id":
                continue
            for variable, color in colors.items():
                value = value.replace(color, f"var(--{variable})")
            element.setAttribute(name, _REFERENCE.sub(rf"\g<1>{key}-\g<2>", value))
        if element.hasAttribute("id"):
            name = element.getAttribute("id")
            if name in used:
                element.setAttribute("id", f"{key}-{name}")
            else:
                element.removeAttribute("id")
    for name in list(root.attributes.keys()):
        if name != "viewBox":
            root.removeAttribute(name)
    root.setAttribute("role", "img")
    root.setAttribute("aria-label", alt)
    root.setAttribute("xmlns:xlink", "http://www.w3.org/1999/xlink")
    return str(root.toxml())


def _descendants(node: Any) -> Iterator[Any]:
    for child in node.childNodes:
        yield child
        yield from _descendants(child)


def _values(element: Any) -> list[str]:
    return [value for name, value in element.attributes.items() if name != "id"]


def _shorten(element: Any) -> None:
    """Round the coordinates of an element to a hundredth of a point; its text and its scale stay as they are."""
    for name in _COORDINATES:
        if element.hasAttribute(name):
            element.setAttribute(name, _rounded(element.getAttribute(name)))
    if element.hasAttribute("transform"):
        shifts = _SHIFTS.sub(lambda match: _rounded(match[0]), element.getAttribute("transform"))
        element.setAttribute("transform", shifts)


def _rounded(text: str) -> str:
    return _LONG_NUMBER.sub(lambda match: f"{float(match[0]):.2f}", text)

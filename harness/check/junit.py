"""JUnit XML: a test case per cell, for the test reports of CI systems."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from harness.check.compare import INCOMPARABLE, Check, Comparison
from harness.check.formats import FORMATS
from harness.check.words import full_name, sentence, some, verdict_words

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, not even escaped."""

IMAGES_SHOWN = 100
"""Of the images that flipped in a cell."""


@FORMATS.register("junit")
def junit(check: Check) -> str:
    """Failures for regressions; skipped is what cannot be compared, or is gone."""
    counts = {
        "tests": len(check.comparisons),
        "failures": len(check.having("regression")),
        "errors": 0,
        "skipped": len(check.having(*INCOMPARABLE)),
    }
    numbers = {key: str(count) for key, count in counts.items()}
    root = ElementTree.Element("testsuites", {"name": "harness check", **numbers})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _text(check.suite), **numbers})
    for comparison in check.comparisons:
        _case(suite, check.suite, comparison)
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, name: str, one: Comparison) -> None:
    place = {"classname": _text(f"{name}.{one.name.mode}"), "name": _text(full_name(one.name))}
    case = ElementTree.SubElement(suite, "testcase", place)
    said = _text(f"{verdict_words(one)}: {sentence(one)}")
    if one.verdict == "regression":
        failure = ElementTree.SubElement(case, "failure", {"type": "regression", "message": said})
        failure.text = f"lost: {some(one.lost, IMAGES_SHOWN)}; won: {some(one.won, IMAGES_SHOWN) or 'none'}"
    elif one.verdict in INCOMPARABLE:
        ElementTree.SubElement(case, "skipped", {"message": said})
    else:
        ElementTree.SubElement(case, "system-out").text = said


def _text(text: str) -> str:
    return FORBIDDEN.sub("�", text)

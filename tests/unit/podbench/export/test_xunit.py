"""JUnit XML: well-formed whatever the text, and counted right."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from podbench.export import xunit


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_gives_well_formed_xml(name: str, message: str) -> None:
    """Control characters and markup in names and messages cannot break the file."""
    case = xunit.Case(suite=name, name=name, failure=message, said=name)
    root = ET.fromstring(xunit.document("t", [case], [message]).encode("utf-8", "replace"))
    assert root.get("failures") == "1"


def test_counts() -> None:
    """Suites and the whole count their cases, failures and skips."""
    cases = [
        xunit.Case(suite="a", name="1"),
        xunit.Case(suite="b", name="2", failure="x"),
        xunit.Case(suite="a", name="3", skipped="y"),
    ]
    root = ET.fromstring(xunit.document("t", cases).encode())
    numbers = [(s.get("name"), s.get("tests"), s.get("skipped")) for s in root]
    assert numbers == [("a", "2", "1"), ("b", "1", "0")]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "0")

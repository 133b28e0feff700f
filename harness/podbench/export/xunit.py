"""JUnit XML, as continuous-integration servers read it: suites of cases that pass, fail or skip.

The dialect is the common one (Jenkins, GitLab, GitHub actions): `testsuites`, `testsuite`,
`testcase` with `failure`, `skipped` and `system-out`, within the schema that Jenkins' xUnit plugin
holds a file to before it reads it. CI servers follow a case by class name and name: neither has a
figure of one run in it, and no two cases of a document have the same. Text may come from a cluster,
so control characters, and others that XML 1.0 section 2.2 forbids, are replaced.
"""

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import msgspec

from podbench.model import plain

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One test case. At most one of `failure` and `skipped` says why it did not pass."""

    suite: str
    name: str
    failure: str | None = None
    skipped: str | None = None
    said: str | None = None


def clean(text: str) -> str:
    """The text with every character that XML cannot hold replaced."""
    return _FORBIDDEN.sub("\ufffd", plain.lines(text))


def render(title: str, cases: Sequence[Case], notes: Sequence[str] = ()) -> str:
    """The whole document; cases of one suite stand together, suites in order of appearance."""
    suites: dict[str, list[Case]] = {}
    for case in cases:
        suites.setdefault(case.suite, []).append(case)
    # The schema knows no `skipped` here; the suites say it.
    whole = {name: count for name, count in _counts(cases).items() if name != "skipped"}
    root = ET.Element("testsuites", {"name": clean(title), **whole})
    for name, held in suites.items():
        suite = ET.SubElement(root, "testsuite", {"name": clean(name), **_counts(held)})
        for case in held:
            _add(suite, case)
        if notes:
            ET.SubElement(suite, "system-err").text = clean("\n".join(notes))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False, short_empty_elements=True)


def document(title: str, cases: Sequence[Case], notes: Sequence[str] = ()) -> str:
    """The rendered document with its declaration, as a file holds it (UTF-8)."""
    body = render(title, cases, notes)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(case.failure is not None for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.skipped is not None for case in cases)),
    }


def _add(suite: ET.Element, case: Case) -> None:
    attributes = {"classname": clean(case.suite), "name": clean(case.name), "time": "0"}
    element = ET.SubElement(suite, "testcase", attributes)
    for tag, text in (("failure", case.failure), ("skipped", case.skipped)):
        if text is not None:
            one = clean(" ".join(text.split()))
            ET.SubElement(element, tag, message=one).text = clean(text)
    if case.said is not None:
        ET.SubElement(element, "system-out").text = clean(case.said)

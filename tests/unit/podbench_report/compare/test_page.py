"""The compare page: says first what is comparable, escapes everything, fits a browser and paper."""

import html
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from support import chromium, needs, sides
from support.poison import EVIL, poisoned

from podbench.analysis.compare.bundle import LeftOut, SideBySide
from podbench.analysis.compare.standings import Campaign
from podbench_report.compare import build

FIGURES = {
    ("vxlan/pod", "rtt_app_ns.p50"): 60_000.0,
    ("vxlan/pod", "rtt_kernel_ns.p50"): 20_000.0,
    ("vxlan/pod", "goodput_bps.tcp.p50"): 5e9,
    ("bgp/pod", "rtt_app_ns.p50"): 50_000.0,
    ("vxlan/host", "rtt_app_ns.p50"): 45_000.0,
}
OURS = frozenset({"metric", "matched_by"})
"""What `compare` itself chooses from closed sets."""
RANKED = OURS | {"arm", "base", "other", "mode", "path", "unit", "row", "design", "verdict"}
LONG = "a rather long name of a run in gke-prod-europe-west4-default-pool-7c0d4f6e"


def some(
    count: int, *, n: int = 8, name: str = "run", changes: Mapping[str, object] | None = None
) -> list[Campaign]:
    """Runs, each a little slower than the one before."""
    return [
        sides.campaign(
            f"{name} {i}",
            {key: level * (1 + 0.1 * i) for key, level in FIGURES.items()},
            n=n,
            losses={"vxlan/pod": [i] * n, "bgp/pod": [0] * n},
            changes=changes,
        )
        for i in range(count)
    ]


def bare() -> list[Campaign]:
    """Two runs in which nothing was measured."""
    return [sides.campaign(name, {}) for name in "ab"]


PAGES: dict[str, SideBySide] = {
    "two": sides.side_by_side(*some(2)),
    "twelve": sides.side_by_side(*some(12, name=LONG)),
    "few blocks": sides.side_by_side(*some(2, n=2)),
    "nothing": sides.side_by_side(*bare()),
    "refused": sides.side_by_side(
        *some(1), *some(1, name="cluster", changes={"target": "kubernetes"})
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_renders(name: str) -> None:
    """Every kind of comparison gives one self-contained page with sections in order."""
    text = build.render(PAGES[name])
    order = re.findall(r'<section id="(\w+)"', text)
    assert order == [
        "comparable",
        "found",
        "untold",
        "figures",
        "tails",
        "pairs",
        "method",
        "reading",
        "appendix",
    ]
    assert len(re.findall(r"<h1>", text)) == 1
    assert not [i for i, n in Counter(re.findall(r' id="([^"]+)"', text)).items() if n > 1]
    assert "default-src 'none'" in html.unescape(text)
    assert not re.search(r'(?:src|href)="(?!#|data:,)', text)
    shown = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "nan" not in shown


@pytest.mark.parametrize("spared", [RANKED, OURS], ids=["names and words", "all"])
@pytest.mark.parametrize("count", [2, 5])
def test_everything_foreign_is_escaped(count: int, spared: frozenset[str]) -> None:
    """Names, labels, versions, settings, reasons and paths cannot become markup."""
    refused = {"target": "kubernetes", "labels": {"team": "net"}, "spec": {"nodes": 3}}
    runs = [*some(count - 1), *some(1, name="other", changes=refused)]
    made = sides.side_by_side(*runs, left_out=[LeftOut(path="runs/x", reason="damaged")])
    text = build.render(poisoned(made, spared))

    assert text.count("<script") == 1
    assert "<img" not in text
    assert f"{html.escape(EVIL)}net" in text.replace("&#34;", "&quot;")
    assert f"{html.escape(EVIL)}damaged" in text.replace("&#34;", "&quot;")


def test_it_says_first_what_may_be_compared() -> None:
    """A refusal stands before any figure, with its reason; its contrasts have no figures."""
    text = build.render(PAGES["refused"])
    assert "reason to refuse" in text
    assert text.index("a lab (network namespaces on one machine)") < text.index('id="figures"')
    assert "not compared" in text
    assert "No ranking: no results of these runs are comparable." in text
    two = " ".join(build.render(PAGES["two"]).split())
    assert "No comparison is refused" in two
    # The table below may list a mode or a rate that only one of them measured.
    assert "For everything that both runs measured, they agree" in two


def test_one_campaign_each_claims_nothing() -> None:
    """The plain words stand on the page, and no verdict is claimed."""
    text = build.render(PAGES["few blocks"])
    assert "one campaign each" in text
    assert "No ranking: one campaign each." in text
    assert '<b class="v">different</b>' not in text


def test_runs_without_a_place_are_named_beside_an_order() -> None:
    """A run without a rank is named; it is not part of the order."""
    runs = [*some(2), *some(1, n=1, name="short")]
    text = " ".join(html.unescape(build.render(sides.side_by_side(*runs))).split())

    assert "A > B, all differences significant; no rank without an interval: C." in text
    assert "For everything that all runs measured" in text
    assert "A &gt; B &gt; C, all differences significant." in build.render(
        sides.side_by_side(*some(3))
    )


def test_the_caveat_is_on_every_page() -> None:
    """One campaign each cannot tell place from day: said wherever runs are compared."""
    for name in ("two", "twelve", "few blocks"):
        assert "One campaign each: a difference between two runs may come from the place" in (
            build.render(PAGES[name])
        )


def test_places_only_as_intervals_support_them() -> None:
    """Runs ten percent apart are placed; two alike would share a place."""
    assert "rank 1: run 0; rank 2: run 1" in build.render(PAGES["two"])
    text = build.render(sides.side_by_side(*some(1), *some(1, name="twin")))
    assert "No ranking: no two runs differ" in text


def test_shares_change_in_points() -> None:
    """A loss from nothing to a little is said in points, not as a huge percentage."""
    runs = [
        sides.campaign(name, {("vxlan/pod", "rtt_app_ns.p50"): 5e4}, losses={"vxlan/pod": lost})
        for name, lost in (("a", [0] * 8), ("b", [40, 42, 39, 41, 40, 43, 38, 40]))
    ]
    text = build.render(sides.side_by_side(*runs)).replace("\u00a0", " ")
    assert "4.04 percentage points higher" in text
    assert "0 of 8000 against 323 of 8000 probes lost" in text


def test_tails_of_the_runs_lie_in_one_plot() -> None:
    """One plot for each mode and kind of round trip, a line for each run, named at its end."""
    text = build.render(PAGES["twelve"])
    plots = re.findall(r"<figure><h3>([^<]+)</h3>.*?</figure>", text, re.DOTALL)
    assert plots == [
        "Application RTT, VXLAN",
        "Application RTT, BGP",
        "Kernel RTT, VXLAN",
    ]
    first = re.search(r"<figure>.*?</figure>", text, re.DOTALL)
    assert first is not None
    assert re.findall(r">([A-L])</text>", first[0]) == list("ABCDEFGHIJKL")


def test_tails_that_may_not_be_compared_are_named_not_drawn() -> None:
    """A lab's tail is not laid over a cluster's; which run is missing, and why, is said."""
    text = build.render(PAGES["refused"]).replace("\u00a0", " ")
    assert "Not comparable and not drawn: cluster 0 (" in text


def test_the_lede_of_two_runs_says_which_way_and_how_surely() -> None:
    """In words, each mode with its interval."""
    text = build.render(PAGES["two"]).replace("\u00a0", " ")
    assert re.search(
        r"Compared with run 0, the median application RTT of run 1 is [\d.]+% higher for "
        r"VXLAN \(95% CI \+[\d.]+ to \+[\d.]+%\) and [\d.]+% higher for BGP",
        text,
    )


def test_a_page_is_known_by_its_mark(tmp_path: Path) -> None:
    """Only a page made here may be replaced."""
    ours, other = tmp_path / "ours.html", tmp_path / "other.html"
    build.write(PAGES["two"], ours)
    other.write_text("<html>", encoding="utf-8")
    assert build.is_page(ours)
    assert not build.is_page(other)
    assert not build.is_page(tmp_path)


def test_twelve_runs_stay_small() -> None:
    """The page of twelve runs is far below three megabytes."""
    assert len(build.render(PAGES["twelve"])) < 1_500_000


browser = needs.browser()


@pytest.mark.browser
@browser
@pytest.mark.parametrize("name", ["two", "twelve", "nothing"])
def test_the_console_stays_silent(name: str, tmp_path: Path) -> None:
    """No error, no warning, no violation of the page's own policy."""
    build.write(PAGES[name], tmp_path / "c.html")
    shown, console = chromium.dom(tmp_path / "c.html", tmp_path / "p")
    assert console == []
    assert "Comparability" in shown


@pytest.mark.browser
@browser
def test_no_width_breaks_the_layout(tmp_path: Path) -> None:
    """The page never scrolls sideways; wide tables scroll inside their own box."""
    build.write(PAGES["twelve"], tmp_path / "c.html")
    widths = (390, 800, 1280)
    found = chromium.overflows(tmp_path / "c.html", tmp_path, widths)
    assert found == dict.fromkeys(widths, (0, 0))


@pytest.mark.browser
@browser
@needs.programs("pdftotext")
@pytest.mark.parametrize("name", ["two", "twelve"])
def test_printing_cuts_nothing(name: str, tmp_path: Path) -> None:
    """Paper holds every word that is not left off on purpose, and none beyond its edge."""
    page = tmp_path / "c.html"
    build.write(PAGES[name], page)
    assert chromium.printed(page, tmp_path) == ([], [])


@pytest.mark.browser
@browser
@pytest.mark.skipif(chromium.AXE_CORE is None, reason=chromium.NO_AXE_CORE)
@pytest.mark.parametrize(
    ("name", "dark"),
    [("two", False), ("two", True), ("refused", False), ("nothing", False)],
)
def test_axe_finds_no_violation(name: str, tmp_path: Path, *, dark: bool) -> None:
    """The accessibility checker of the field, in light and dark."""
    path = tmp_path / "c.html"
    build.write(PAGES[name], path)

    assert chromium.axe_violations(path, tmp_path, dark=dark) == []

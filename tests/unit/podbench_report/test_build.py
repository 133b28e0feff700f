"""The whole page: every hard case renders, everything is escaped, nothing is fetched."""

import base64
import hashlib
import html
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from support import synthetic
from support.bundle_cases import Case
from support.bundles import make_bundle
from support.poison import EVIL, poisoned

from podbench.analysis.bundle import Damage
from podbench.model.errors import ReportError
from podbench.model.summary import AaCheck, Doubt
from podbench_report import build

LONG = tuple(f"gke-prod-europe-west4-default-pool-7c0d4f6e-{c}x9z" for c in "abcd")
CASES = {
    "three nodes": Case(),
    "two nodes": Case(nodes=2),
    "twenty nodes": Case(nodes=20, zones=3, target="kubernetes"),
    "a missing arm": Case(missing="ipip"),
    "a missing base": Case(missing="bgp"),
    "one block": Case(blocks=1),
    "all lost": Case(all_lost=True),
    "long names": Case(nodes=4, names=LONG, zones=2, target="kubernetes"),
    "flannel's modes": Case(modes=("vxlan", "bgp")),
    "faults": Case(faults=("loss n1>n2 1%",)),
}


class Outline(HTMLParser):
    """Collects what an accessible page must have."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes a tag."""
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for key, value in attrs if key == "id" and value]

    def all(self, *names: str) -> list[dict[str, str | None]]:
        """The attributes of every tag of these names."""
        return [attrs for tag, attrs in self.tags if tag in names]


def outline(page: str) -> Outline:
    """The page's tags."""
    found = Outline()
    found.feed(page)
    return found


def text_of(page: str) -> str:
    """Readable text, with ordinary spaces."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    bare = re.sub(r"<[^>]+>", " ", body)
    return re.sub(r"[\s\u00a0\u202f\u2060]+", " ", bare)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_case_renders_a_sound_page(case: Case) -> None:
    """Landmarks, headings in order, captions, unique ids, no leftovers of null or nan."""
    page = build.render(make_bundle(case))
    found = outline(page)

    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert [len(found.all(t)) for t in ("main", "header", "nav", "footer")] == [1, 1, 1, 1]
    assert len(found.all("caption")) == len(found.all("table"))
    assert all("scope" in attrs for attrs in found.all("th"))
    assert len(set(found.ids)) == len(found.ids)
    assert not re.search(r"\b(None|nan|inf|NaN)\b", text_of(page))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_nothing_is_fetched_and_only_our_script_runs(case: Case) -> None:
    """No address of anything, no handler in an attribute; the policy holds the script's hash."""
    page = build.render(make_bundle(case))
    found = outline(page)

    assert not [a for _, a in found.tags if {"src", "onclick", "onload", "srcset"} & set(a)]
    links = [a["href"] for a in found.all("a", "link", "use") if a.get("href")]
    assert all(link is not None and link.startswith(("#", "data:,")) for link in links)
    assert "url(http" not in page
    assert "@import" not in page
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    policy = next(a["content"] for a in found.all("meta") if "http-equiv" in a)
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_lab_is_named_on_top_in_these_words_and_a_cluster_is_not() -> None:
    """The heading of every lab page, with the faults that were injected."""
    lab = text_of(build.render(make_bundle(Case(faults=("loss n1>n2 1%",)))))
    cluster = text_of(build.render(make_bundle(Case(target="kubernetes"))))

    heading = "network namespaces on one machine, not your cluster"
    assert 0 <= lab.index(heading) < lab.index("Findings")
    assert "loss n1&gt;n2 1%" in lab[: lab.index("Findings")]
    assert heading not in cluster
    assert "stand-in" not in cluster


def test_a_cluster_page_says_where_it_was_and_that_all_is_gone() -> None:
    """Context, zones and facts of the nodes, how modes were set up, objects created and removed."""
    page = text_of(build.render(make_bundle(Case(nodes=4, zones=2, target="kubernetes"))))

    assert "between 4 nodes on the cluster prod-europe-west4?" in page
    assert "4 nodes in 2 zones" in page
    assert "Each mode has a separate address pool and separate pods" in page
    assert "Created in the cluster: 3 objects, all removed" in page
    for fact in ("europe-west4", "gce", "nftables", "node cp-1 excluded", "still present nothing"):
        assert fact in page


def test_what_is_left_in_a_cluster_is_said_with_the_way_out() -> None:
    """Also where the run never came to look."""
    bundle = make_bundle(Case(target="kubernetes"))
    assert bundle.cluster is not None
    left = msgspec.structs.replace(bundle.cluster, left=("IPPool podbench-vxlan: it is there",))
    blind = msgspec.structs.replace(bundle.cluster, looked=False)

    page = text_of(build.render(msgspec.structs.replace(bundle, cluster=left)))
    assert "Still present: IPPool podbench-vxlan: it is there. bench restore removes them" in page
    page = text_of(build.render(msgspec.structs.replace(bundle, cluster=blind)))
    assert "remain in the cluster: bench restore finds and removes them" in page


def test_a_void_run_makes_no_claim_at_its_head() -> None:
    """Where the same mode twice came out different, that is all the leading sentence says."""
    bundle = make_bundle(Case())
    failed = AaCheck(passed=False, comparisons=8, false_alarms=2)
    # A failed check leaves no recommendation (findings/recommendation).
    summary = msgspec.structs.replace(bundle.summary, aa_check=failed, recommendation=None)
    page = build.render(msgspec.structs.replace(bundle, summary=summary))
    ledes = re.findall(r'<p class="lede">(.*?)</p>', page)

    assert [text_of(lede) for lede in ledes] == [
        "The A/A check failed: one mode measured twice is different in 2 of 8 comparisons. Do not "
        "trust the verdicts of this run."
    ]


def test_the_page_says_what_an_answer_would_take_and_how_to_repeat_it() -> None:
    """Blocks and time for open questions; the command line with the seed."""
    page = text_of(build.render(make_bundle()))

    assert "about 12 blocks would settle all of them: 7 more, 4 min 40 s measuring time" in page
    assert "bench run --cni calico --target lab --seed 20260814" in page
    assert "PDV p99 µs IPDV p50 µs RFC 3550 µs" in page


def test_the_change_at_each_percentile_is_drawn_and_tabled() -> None:
    """One plot for each kind of round trip, a line for each mode but the base, intervals named."""
    page = build.render(make_bundle())
    title = "<h3>Kernel RTT, change against BGP</h3>"
    drawn = re.search(title + ".*?</figure>", page, re.DOTALL)

    assert drawn is not None
    assert re.findall(r">(VXLAN|IPIP|BGP)</text>", drawn[0]) == ["VXLAN", "IPIP"]
    assert "VXLAN from +17.2% at the 10th to +27.4% at the 99th" in text_of(
        re.findall(r'aria-label="([^"]*by percentile[^"]*)"', drawn[0])[0]
    )
    assert "at a false discovery rate of 5%" in text_of(page)


def test_the_tax_is_rounded_alike_in_sentence_and_table() -> None:
    """A figure and its interval have the same digits wherever they stand."""
    bundle = make_bundle()
    figures = {"vxlan": (14_070.0, (12_570.0, 15_700.0)), "bgp": (7_560.0, (6_040.0, 9_280.0))}
    taxes = [
        msgspec.structs.replace(
            tax, difference=figures[tax.mode][0], ci95=figures[tax.mode][1], verdict="different"
        )
        for tax in bundle.summary.overlay_tax
        if tax.metric == "rtt_kernel_ns.p50" and tax.mode in figures
    ]
    summary = msgspec.structs.replace(bundle.summary, overlay_tax=tuple(taxes))
    page = text_of(build.render(msgspec.structs.replace(bundle, summary=summary)))

    assert len(taxes) == 2
    assert "VXLAN adds 14.1 µs (95% CI 12.6– 15.7 µs)" in page
    assert "BGP adds 7.56 µs (95% CI 6.04– 9.28 µs)" in page
    assert " 14.1 12.6–15.7 different" in page
    assert " 7.56 6.04–9.28 different" in page


def test_a_damaged_file_is_named_once() -> None:
    """The damage and the doubt that analysis makes of it are one thing to a reader."""
    bundle = make_bundle()
    doubt = Doubt(code="file_damaged", message="samples/x.parquet could not be read", evidence="r")
    summary = msgspec.structs.replace(bundle.summary, warnings=(*bundle.summary.warnings, doubt))
    damage = Damage(file="samples/x.parquet", reason="the file is cut short.")
    page = text_of(
        build.render(msgspec.structs.replace(bundle, summary=summary, damages=(damage,)))
    )

    assert page.count("samples/x.parquet") == 1
    assert "is unreadable: the file is cut short. The report shows everything else." in page


def test_a_run_of_one_mode_says_what_that_costs() -> None:
    """With nothing to compare it with, the host path of the same pairs is what there is."""
    page = build.render(make_bundle(Case(modes=("vxlan",), target="kubernetes")))
    found = re.findall(r'<p class="lede">(.*?)</p>', page)
    ledes = [text_of(lede).replace("– ", "–") for lede in found]

    assert "How much does VXLAN cost with Calico 3.31" in page
    assert ledes == [
        "Compared with the host path of the same node pairs, VXLAN adds 7.40 µs (95% CI 6.22–8.58 "
        "µs) to the median kernel RTT: different."
    ]


def test_every_node_has_its_part_as_a_sender_and_as_a_receiver() -> None:
    """From four nodes on; beyond twelve the worst stand outright and all behind a summary."""
    few = text_of(build.render(make_bundle(Case(nodes=4))))
    many = text_of(build.render(make_bundle(Case(nodes=20, zones=2, target="kubernetes"))))

    assert "n2 +20.0% +20.0% 9.3" in few
    assert "The 12 worst nodes of each metric" in many
    assert "All nodes" in html.unescape(many)


RANKED = frozenset({"arm", "base", "other", "metric", "mode", "path", "unit", "code"})
"""What sections choose and order by: the first round leaves it, so that all of them are full."""


def _no_markup(page: str) -> None:
    found = outline(page)

    assert page.count("<script") == 1
    assert not found.all("img")
    assert not [a for _, a in found.tags if "onerror" in a]
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("spared", [RANKED, frozenset()], ids=["names and words", "all"])
@pytest.mark.parametrize("nodes", [4, 12])
def test_everything_from_outside_is_escaped(nodes: int, spared: frozenset[str]) -> None:
    """Markup in any text of a bundle stays text, in drawings and titles too."""
    case = Case(nodes=nodes, zones=2, target="kubernetes", faults=("x",), missing="ipip")
    bundle = make_bundle(case)
    bundle = msgspec.structs.replace(bundle, damages=(Damage(file="f", reason="r"),))
    page = build.render(poisoned(bundle, spared))

    _no_markup(page)
    shown = page.replace("&#34;", "&quot;")
    words = ("Capacity review", "calico", "prod-europe-west4", "slow in both directions")
    assert [w for w in (*case.node_names, *words) if f"{html.escape(EVIL)}{w}" not in shown] == []


def test_everything_foreign_in_what_was_made_up_by_analysis_is_escaped() -> None:
    """The same with every list that analysis fills."""
    _no_markup(build.render(poisoned(synthetic.bundle(nodes=4, blocks=3), RANKED)))


def test_null_reads_not_measured() -> None:
    """All packets lost: no quantile is shown as 0."""
    page = text_of(build.render(make_bundle(Case(all_lost=True))))

    assert "No probe came back in any mode" in page
    assert "Distributions: not measured" in page
    assert "all lost" in page
    assert not re.search(r"\b0(\.0+)? [µmn]s\b", page)


def test_a_missing_arm_is_named_with_its_reason() -> None:
    """Among the open questions, once."""
    page = text_of(build.render(make_bundle(Case(missing="ipip"))))
    untold = page[page.index("Open questions 2") : page.index("Pod-network cost Pod")]

    assert "IPIP (kernel has no IPIP device and eBPF at tc needs root): not measured" in untold
    assert "Partial run" in page


def test_stand_ins_and_verdicts_reach_the_page() -> None:
    """The sentences of `wording` are on the page, with the stand-in."""
    page = text_of(build.render(make_bundle()))

    assert "VXLAN adds 4.20 µs (95% CI" in page
    assert "IPIP (stand-in: eBPF at tc) adds" in page


def test_a_hundred_nodes_stay_small() -> None:
    """Under 3 MB, matrices of 9,900 pairs for each of three modes included."""
    bundle = make_bundle(Case(nodes=100, zones=4, target="kubernetes"))
    page = build.render(bundle)

    assert len(page.encode()) < 3_000_000
    assert "are not listed" in page


def test_what_analysis_gives_renders() -> None:
    """The real bundle, not only those made by hand."""
    page = text_of(build.render(synthetic.bundle(nodes=3, blocks=2)))

    assert "Findings" in page
    assert not re.search(r"\b(None|nan)\b", page)


def test_the_same_bundle_gives_the_same_page() -> None:
    """Byte for byte: a report can be compared with itself."""
    assert build.render(make_bundle()) == build.render(make_bundle())


def test_write_replaces_whole_or_not_at_all(tmp_path: Path) -> None:
    """The page is there and nothing else is left beside it."""
    target = tmp_path / "report.html"
    target.write_text("old")
    build.write(make_bundle(), target)

    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_a_report_error(tmp_path: Path) -> None:
    """With the path and the way out, not a traceback."""
    with pytest.raises(ReportError, match=r"cannot write .*report\.html") as caught:
        build.write(make_bundle(), tmp_path / "absent" / "report.html")

    assert caught.value.advice is not None


def test_no_number_of_blocks_is_offered_where_more_do_not_help() -> None:
    """Beyond 500 blocks there is nothing to plan with, and no time to it."""
    bundle = make_bundle()
    first = next(c for c in bundle.summary.comparisons if c.ci95 is not None and "#" not in c.other)
    pages = []
    for blocks in (40, 553):
        one = msgspec.structs.replace(
            first, verdict="inconclusive", blocks_needed=blocks, further_s=4980.0
        )
        summary = msgspec.structs.replace(bundle.summary, comparisons=(one,))
        pages.append(build.render(msgspec.structs.replace(bundle, summary=summary)))
    assert ">40<" in pages[0]
    assert ">over 500<" not in pages[0]
    assert ">over 500<" in pages[1]
    assert ">553<" not in pages[1]


def test_tables_of_quantiles_say_why_one_is_not_measured() -> None:
    """The plot of all blocks reaches further than the quantiles of each."""
    page = " ".join(build.render(make_bundle()).split())
    assert "A quantile needs at least ten samples beyond it in each block" in page


def test_a_flagged_run_says_so_above_everything_else() -> None:
    """The banner has the reasons of exit code 3; a sound run has none."""
    sound = make_bundle(Case())
    flagged = msgspec.structs.replace(
        sound,
        summary=msgspec.structs.replace(
            sound.summary,
            warnings=(Doubt(code="samples_invalid", message="96% of the samples are <invalid>"),),
        ),
    )
    page = build.render(flagged)
    banner = page.index("96% of the samples are &lt;invalid&gt;")
    assert page.index("Before you use these figures") < banner < page.index('id="found"')
    assert "Before you use these figures" not in build.render(sound)

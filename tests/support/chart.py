"""The chart as a real Helm renders it; run as a program it writes that into the package."""

from pathlib import Path
from typing import Any

from podbench.target.kubernetes.deploy.canonical import CANONICAL
from podbench.target.kubernetes.deploy.objects import PARTS, RBAC_PART
from podbench.target.kubernetes.deploy.settings import values

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "podbench"
MANIFESTS = ROOT / "harness" / "podbench" / "target" / "kubernetes" / "manifests"

SECURITY = ROOT / "docs" / "security.md"
BEGINS = "<!-- the chart's roles, by scripts/render-manifests -->\n```yaml\n"
ENDS = "```\n<!-- end -->\n"


def render(chart_values: dict[str, Any]) -> dict[str, str]:
    """Helm's rendering, by the template's name without its ending. Needs helm-python-sdk."""
    import helm_python

    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(chart_values, name="podbench", namespace="podbench")
    return {Path(path).stem: text for path, text in texts.items()}


def carried() -> dict[str, str]:
    """What the package should carry: every part's text, by its name."""
    rights = {"rbac": {"create": True, "pools": True, "switch": True}}
    texts = render({**values(CANONICAL), **rights})
    return {part: texts[part].strip() + "\n" for part in (*PARTS, RBAC_PART)}


def with_roles(page: str, roles: str) -> str:
    """docs/security.md with the chart's roles in it."""
    before, begins, rest = page.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    return f"{before}{begins}{roles}{ends}{after}"


def main() -> None:
    """Writes the package's manifests anew, and the roles into their page."""
    MANIFESTS.mkdir(exist_ok=True)
    parts = carried()
    for part, text in parts.items():
        (MANIFESTS / f"{part}.yaml").write_text(text, "utf-8")
    page = SECURITY.read_text("utf-8")
    SECURITY.write_text(with_roles(page, parts[RBAC_PART]), "utf-8")


if __name__ == "__main__":
    main()

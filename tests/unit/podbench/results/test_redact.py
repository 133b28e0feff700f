"""Results without names."""

from pathlib import Path

import msgspec
import pytest
from support import bundles, commands, rundirs, synthetic
from support.bundle_cases import Case

from podbench.analysis.bundle import Bundle, ClusterFacts
from podbench.model.summary import NodeSummary
from podbench.results import redact

SECRETS = (
    "gke-payments-7f3a", "gke-payments-7f3b", "eu-secret1-b", "eu-secret1", "acme-prod",
    "api.acme.example", "10.4.0.17", "fd00::17", "02:42:ac:11:00:02", "team-payments", "before-ipo",
)  # fmt: skip


def _bundle() -> Bundle:
    """A bundle whose nodes, zone, context, labels and addresses give somebody away."""
    made = bundles.make_bundle(Case(nodes=2))
    names = dict(zip((n.name for n in made.summary.nodes), SECRETS, strict=False))
    text = msgspec.json.encode(made).decode()
    for old, new in names.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    found = msgspec.json.decode(text, type=Bundle)
    nodes = tuple(
        msgspec.structs.replace(node, zone="eu-secret1-b", region="eu-secret1")
        for node in found.summary.nodes
    )
    spec = {"cluster": {"context": "acme-prod", "server": "https://api.acme.example:6443"}}
    return msgspec.structs.replace(
        found,
        summary=msgspec.structs.replace(
            found.summary, nodes=nodes, spec=spec, name="before-ipo",
            labels={"owner": "team-payments"},
        ),
        cluster=ClusterFacts(context="acme-prod", server="https://api.acme.example:6443"),
        command="bench run --context acme-prod --name before-ipo",
        faults_injected=("10.4.0.17 and fd00::17 by 02:42:ac:11:00:02 on gke-payments-7f3a-vxlan",),
    )  # fmt: skip


def test_no_name_or_address_is_left() -> None:
    """Anywhere in the bundle, also inside sentences, longer words and commands."""
    bundle = _bundle()
    assert all(secret in str(msgspec.to_builtins(bundle)) for secret in SECRETS)
    clean = redact.redacted(bundle, [bundle.summary])
    left = str(msgspec.to_builtins(clean))
    assert [secret for secret in SECRETS if secret in left] == []
    assert clean.command == "bench run --context context-1 --name name-1"
    assert clean.faults_injected == ("address-1 and address-2 by mac-1 on node-1-vxlan",)


def test_figures_modes_and_versions_stay() -> None:
    """Only words change: the same estimates, comparisons, kernels, versions, twice the same."""
    bundle = _bundle()
    clean = redact.redacted(bundle, [bundle.summary])
    for part in ("estimates", "comparisons", "versions", "arms", "noise_floor"):
        assert getattr(clean.summary, part) == getattr(bundle.summary, part), part
    assert [n.kernel for n in clean.summary.nodes] == [n.kernel for n in bundle.summary.nodes]
    assert clean == redact.redacted(bundle, [bundle.summary])


def test_a_node_called_like_a_mode_renames_no_mode() -> None:
    """Podbench's own words stay in the fields that hold them."""
    summary = bundles.make_bundle(Case(nodes=2)).summary
    named = msgspec.structs.replace(summary, nodes=(NodeSummary(name="bgp"),))
    clean = redact.redacted(named, [named])
    assert clean.arms == named.arms
    assert clean.nodes[0].name == "node-1"


@pytest.mark.parametrize("form", ["csv", "prometheus", "markdown", "junit"])
def test_exports_carry_stand_ins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """`bench export --redact` prints no node's name in any format."""
    nodes = tuple(NodeSummary(name=name) for name in ("n1", "n2"))
    shape = synthetic.Shape(nodes=2, blocks=5, modes=("vxlan", "bgp"), host=False)
    rundirs.made_up(tmp_path / "zebra-7", shape=shape, nodes=nodes)
    code, out, _ = commands.run(
        capsys, "export", str(tmp_path / "zebra-7"), "--format", form, "--redact"
    )
    assert code == 0
    assert "n1" not in out.replace("kernel", "")
    assert "zebra-7" not in out

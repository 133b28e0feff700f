"""Public set-ups, each asked over HTTP by the real client: what doctor, plan and run make of it.

The clusters are made after public reports (tests/fixtures/clusters names each); every one stands
for a kind that was misread once.
"""

from pathlib import Path

import msgspec
import pytest
from support import cases

from podbench.campaign.cluster import survey as campaign_survey
from podbench.campaign.cluster.survey import resolve
from podbench.campaign.options.table import Options
from podbench.cni.detect.cluster import mode_found
from podbench.doctor import cluster as doctor_cluster
from podbench.doctor.checks import Need
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """What has to come out; null or empty: not looked at."""

    cni: str | None
    version: str | None = None
    mode: Mode = Mode.AS_FOUND
    method: str = "observe"
    proxy: str | None = None
    says: tuple[str, ...] = ()
    """Parts of what doctor's rows `CNI` and `mode as found` say together."""
    refused: tuple[Mode, ...] = ()
    switch: str | None = None
    """What `--method switch` would change."""
    zones: tuple[str | None, ...] = ()


RIGHT = {
    "aks-powered-by-cilium": Right(cni="cilium", mode=Mode.NATIVE, proxy="cilium"),
    "aks-zone-is-fault-domain": Right(cni="azure-cni", zones=(None, None)),
    "calico-backend-env-absent": Right(cni="calico", mode=Mode.IPIP, method="pools"),
    "calico-dual-stack-v6-plain": Right(cni="calico", mode=Mode.VXLAN, method="pools"),
    "calico-policy-only": Right(
        cni=None,
        says=(
            "Calico (DaemonSet kube-system/calico-node) does not route",
            "who carries the packets is not seen",
            "/etc/cni/net.d",
        ),
    ),
    "calico-pool-for-nobody": Right(
        cni="calico", mode=Mode.IPIP, method="pools", switch="IPPool default-ipv4-ippool"
    ),
    "calico-wireguard": Right(
        cni="calico", says=("WireGuard",), refused=(Mode.VXLAN, Mode.IPIP, Mode.BGP)
    ),
    "cilium-portmap-chaining": Right(cni="cilium", mode=Mode.VXLAN),
    "cilium-vxlan-wireguard": Right(
        cni="cilium", mode=Mode.VXLAN, says=("WireGuard", "encrypts between nodes")
    ),
    "eks-anywhere-cilium": Right(cni="cilium", mode=Mode.GENEVE),
    "eks-cilium-eni-aws-node-emptied": Right(
        cni="cilium", mode=Mode.NATIVE, says=("carries nothing: aws-vpc-cni",)
    ),
    "flannel-019-rancher-mirror": Right(
        cni="flannel", version="0.19.1", mode=Mode.VXLAN, says=("kube-flannel/kube-flannel-ds",)
    ),
    "flannel-directrouting-spelling": Right(cni="flannel", says=("Directrouting",)),
    "k0s-calico": Right(cni="calico", version="3.31.4", mode=Mode.VXLAN),
    "k0s-kube-router": Right(cni="kube-router", version="2.7.1"),
    "k3s-stale-flannel-notes-calico": Right(
        cni="calico",
        mode=Mode.VXLAN,
        method="pools",
        says=("left by an earlier flanneld",),
        refused=(Mode.IPIP, Mode.BGP),
    ),
    "kube-proxy-flag-in-two-words": Right(cni=None, proxy="ipvs"),
    "kube-proxy-windows-first": Right(cni=None, proxy="iptables"),
    "kubeproxy-emptied-by-nodeselector": Right(
        cni="calico",
        mode=Mode.VXLAN,
        method="pools",
        proxy="calico-bpf",
        refused=(Mode.IPIP, Mode.BGP),
    ),
    "operator-imageprefix": Right(cni="calico", mode=Mode.IPIP, method="pools"),
}
REFUSED = {
    "nodes-ipv6-only": "IPv6-only clusters cannot be measured",
    "nodes-same-internalip": "k8s-master1 and k8s-node1 have the same InternalIP 10.0.2.15",
}
"""Clusters of which no pair can be measured, and why."""


def test_every_cluster_is_asked() -> None:
    """No fixture without its right values."""
    there = {each.stem for each in cases.CASES.glob("*.yaml")}
    assert there == RIGHT.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", RIGHT)
def test_a_cluster_is_told_as_it_is(name: str, tmp_path: Path) -> None:
    """Doctor's rows, the plan and the run's own resolution say the same."""
    right = RIGHT[name]
    seen = cases.look(cases.load(name), tmp_path)
    detected = seen.survey.detected
    assert detected.cni.value == right.cni, detected.cni
    assert right.version in (None, detected.version.value)
    assert mode_found(detected).value == right.mode, mode_found(detected)
    assert right.proxy in (None, detected.proxy.mode.value), detected.proxy
    said = seen.checks["CNI"].found + seen.checks["mode as found"].found
    assert [each for each in right.says if each not in said] == [], said
    if right.zones:
        assert tuple(each.zone for each in seen.survey.places) == right.zones
    if right.switch is not None:
        assert seen.survey.recipe.by == right.switch
        assert seen.survey.recipe.edits

    run = resolve(Options(image="registry.example/podbench:1"), seen.survey)
    assert run.method == right.method, run.notes
    if run.method == "pools":
        assert tuple(run.refused) == right.refused
    else:
        assert run.modes == (right.mode,)
    for mode in [each for each in Mode if f"mode {each}" in seen.checks]:
        # What doctor calls possible is what the plan measures, and nothing else.
        possible = run.method == "pools" and mode not in run.refused
        assert seen.checks[f"mode {mode}"].ok is possible, seen.checks[f"mode {mode}"].found
    # Nothing about such a cluster keeps a run from observing it.
    hindered = [each for each in seen.checks.values() if each.need is Need.RUN and not each.ok]
    assert [each.name for each in hindered if each.ok is False] == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_cluster_without_a_pair_is_refused(name: str, tmp_path: Path) -> None:
    """By doctor and by plan and run, with the nodes and the reason."""
    seen = cases.look(cases.load(name), tmp_path)
    row = seen.checks["nodes"]
    assert (row.ok, row.need) == (False, Need.RUN)
    assert REFUSED[name] in row.found
    with pytest.raises(ConfigError) as caught:
        resolve(Options(image="registry.example/podbench:1"), seen.survey)
    assert REFUSED[name] in str(caught.value)
    assert caught.value.advice


@pytest.mark.parametrize("fault", ["calico_api_away", "calico_api_hangs"])
def test_an_aggregated_api_that_is_down_hides_nothing_else(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, with the command that says why; every other row is there, and the plan too."""
    monkeypatch.setattr(doctor_cluster, "GROUP_PATIENCE_S", 0.5)
    monkeypatch.setattr(campaign_survey, "GROUP_PATIENCE_S", 0.5)
    case = cases.load("operator-imageprefix")
    usual = cases.look(case, tmp_path)
    seen = cases.look(case, tmp_path, faults={fault: True})
    assert seen.checks.keys() - {"second route"} == usual.checks.keys() - {"second route"}
    assert seen.survey.detected.cni.value == "calico"
    for mode in ("vxlan", "ipip", "bgp"):
        assert "kubectl get apiservice v3.projectcalico.org" in seen.checks[f"mode {mode}"].found
    assert seen.checks["admission"].ok
    run = resolve(Options(image="registry.example/podbench:1"), seen.survey)
    assert run.method == "observe"
    assert any("nobody answers for it" in note for note in run.notes)

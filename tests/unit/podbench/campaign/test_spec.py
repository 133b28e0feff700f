"""Options are resolved, and what cannot be is refused with the way out."""

from pathlib import Path

import pytest

from podbench.campaign import spec
from podbench.campaign.options.table import Options
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError
from podbench.model.nodes import Loss


def test_defaults() -> None:
    """Without options a run is calico on the lab: all modes, latency and TCP."""
    found = spec.resolve(Options())
    assert (found.cni, found.cni_requested, found.target) == ("calico", "auto", "lab")
    assert found.modes == (Mode.VXLAN, Mode.IPIP, Mode.BGP)
    assert found.probes == ("latency", "ladder", "ceiling")
    assert found.method == "pools"
    assert found.lab.nodes == 3


def test_modes_keep_the_cni_order() -> None:
    """The order of the words does not matter."""
    assert spec.resolve(Options(modes=["bgp", "vxlan"])).modes == (Mode.VXLAN, Mode.BGP)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (Options(cni="calcio"), "--cni: unknown 'calcio'; did you mean 'calico'"),
        (Options(cni="cilium"), "--cni: the lab cannot emulate cilium"),
        (Options(modes=["vxlam"]), "--modes: unknown 'vxlam'; did you mean 'vxlan'"),
        (Options(modes=["host-gw"]), "--modes: unknown 'host-gw'"),
        (Options(modes=[]), "--modes: no value given"),
        (Options(probes=["latenzy"]), "--probes: unknown 'latenzy'; did you mean 'latency'"),
        (Options(nodes=1), "--nodes: 1 is fewer than 2"),
        (Options(nodes=1000), "--nodes: 1000 is more than"),
        (Options(blocks=0), "--blocks: 0 is fewer than 1"),
        (Options(budget="0s"), "--budget"),
        (Options(budget="soon"), "--budget"),
        (Options(method="observe"), "--method observe"),
        (Options(cni="flannel", method="pools"), "--method pools"),
        (Options(proof="trust"), "--proof: unknown 'trust'"),
        (Options(lab_loss=["n1>n9=1%"]), "--lab-loss: unknown 'n9'"),
        (Options(lab_loss=["n1>n1=1%"]), "names the same node twice"),
        (Options(lab_loss=["n1=1%"]), "--lab-loss: 'n1=1%' is not SRC>DST=RATIO"),
        (Options(lab_loss=["n1>n2=120%"]), "--lab-loss"),
        (Options(lab_cpu_noise=-1), "--lab-cpu-noise"),
        (Options(lab_rate="fast"), "--lab-rate"),
    ],
)
def test_refusals(options: Options, match: str) -> None:
    """Each names the option and what is wrong with it."""
    with pytest.raises(ConfigError, match=match):
        spec.resolve(options)


def test_faults_are_parsed() -> None:
    """Known faults become numbers."""
    lab = spec.resolve(Options(lab_loss=["n1>n2=1%"], lab_rate="200Mbit/s", nodes=2)).lab
    assert lab.losses == (Loss("n1", "n2", 0.01),)
    assert lab.rate_bps == 200_000_000


def test_filled_in_repeats_the_run() -> None:
    """The options that `--print-config` shows resolve to the same specification."""
    first = spec.resolve(Options(cni="flannel"))
    again = spec.resolve(spec.filled_in(Options(cni="flannel"), first))
    assert (again.modes, again.seed, again.method) == (first.modes, first.seed, first.method)
    assert again.blocks == spec.DEFAULT_BLOCKS


@pytest.fixture
def no_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine where kubectl would find nothing."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)


def test_without_a_kubeconfig_auto_is_the_lab(no_kubeconfig: None) -> None:
    """A context that was named means a cluster all the same, and its absence is then told."""
    assert spec.chosen_target(Options()) == "lab"
    assert spec.chosen_target(Options(context="prod")) == "kubernetes"


def test_with_a_kubeconfig_auto_is_its_cluster(
    no_kubeconfig: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first of the list that is there, as kubectl reads it; an empty word is none."""
    (tmp_path / "config").write_text("{}")
    monkeypatch.setenv("KUBECONFIG", f":{tmp_path / 'absent'}:{tmp_path / 'config'}")
    assert spec.kubeconfig() == tmp_path / "config"
    assert spec.chosen_target(Options()) == "kubernetes"
    assert spec.chosen_target(Options(target="lab")) == "lab"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (Options(target="lab", context="prod"), "--context does not apply to target lab"),
        (Options(image="i"), "--image does not apply to target lab .no kubeconfig was found"),
        (Options(target="kubernetes", lab_rate="1Gbit/s"), "--lab-rate does not apply"),
        (Options(target="kubernetes", equal_mtu=True), "--equal-mtu does not apply"),
        (Options(target="kubernets"), "did you mean 'kubernetes'"),
    ],
)
def test_an_option_of_the_other_target_is_refused(
    no_kubeconfig: None, options: Options, match: str
) -> None:
    """It would have no effect; the way out names both ways."""
    with pytest.raises(ConfigError, match=match):
        spec.chosen_target(options)

"""A finished run deserves exit 3 when an arm is missing, unproven or in doubt."""

from pathlib import Path

import msgspec
from support import synthetic
from support.specs import make_spec

from podbench.analysis import summarise
from podbench.analysis.bundle import Bundle
from podbench.analysis.findings import flagged
from podbench.analysis.samples.inputs import ArmLaid, Unmeasured
from podbench.campaign import plan, record
from podbench.campaign.spec import RunSpec
from podbench.model.arms import Mode
from podbench.model.summary import AaCheck, ArmSummary
from podbench.results import conclude, gather
from podbench.store import rundir as store
from podbench.target.base import Aftermath


def _with(bundle: Bundle, **changes: object) -> Bundle:
    summary = msgspec.structs.replace(bundle.summary, **changes)
    return msgspec.structs.replace(bundle, summary=summary)


def test_a_sound_run_has_no_flags() -> None:
    """Every arm measured and proven, A/A passed: exit 0."""
    assert flagged.reasons(synthetic.bundle(nodes=2, blocks=5)) == []


def test_an_arm_not_measured_is_a_flag() -> None:
    """It is named with its reason."""
    inputs = synthetic.run(shape=synthetic.Shape(nodes=2, blocks=3))
    arms = [a for a in inputs.arms if not a.arm.startswith("ipip")]
    missing = ArmLaid(arm="ipip/pod", reason="kernel has no IPIP")
    assert inputs.latency is not None
    rest = inputs.latency[inputs.latency["mode"] != "ipip"]
    bundle = summarise.analyse(
        msgspec.structs.replace(
            inputs, arms=(*arms, missing), latency=rest, throughput=None, host=None
        )
    )
    assert any(f == "ipip/pod not measured: kernel has no IPIP" for f in flagged.reasons(bundle))


def test_a_mode_that_fell_back_is_a_flag() -> None:
    """Figures of another mode than asked for are flagged by the proof."""
    bundle = synthetic.bundle(nodes=2, blocks=3)

    def fallen(arm: ArmSummary) -> ArmSummary:
        if arm.arm != "bgp/pod":
            return arm
        assert arm.proof is not None
        proof = msgspec.structs.replace(arm.proof, verdict="fell back", observed="vxlan")
        return msgspec.structs.replace(arm, proof=proof)

    changed = _with(bundle, arms=tuple(fallen(a) for a in bundle.summary.arms))
    assert flagged.reasons(changed) == ["bgp/pod: the packets' mode was fell back"]


def test_a_failed_aa_check_is_a_flag() -> None:
    """The same mode twice came out different."""
    bundle = synthetic.bundle(nodes=2, blocks=5)
    failed = AaCheck(passed=False, comparisons=4, false_alarms=1)
    assert "A/A" in flagged.reasons(_with(bundle, aa_check=failed))[0]


def test_what_was_not_taken_is_told_once_per_reason() -> None:
    """Failures of the journal become one doubt with its places, never a silent gap."""
    inputs = synthetic.run(shape=synthetic.Shape(nodes=2, blocks=3))
    lost = tuple(
        Unmeasured(block=b, arm="bgp/pod", kind="warm", src="n1", dst="n2", reason="n1-bgp is gone")
        for b in (1, 2)
    )
    bundle = summarise.analyse(msgspec.structs.replace(inputs, unmeasured=lost))
    told = [w for w in bundle.summary.warnings if w.code == "measurement_not_taken"]
    assert len(told) == 1
    assert told[0].message == "bgp/pod: warm was not measured 2 times: n1-bgp is gone"
    assert told[0].evidence == "block 1 n1 > n2; block 2 n1 > n2"


def test_dropped_messages_are_reported() -> None:
    """Who else speaks by an agent's topic is a doubt with the first reason."""
    said = "n2-vxlan: 3 messages were dropped; the first answers what n1-vxlan was asked"
    inputs = synthetic.run(shape=synthetic.Shape(nodes=2, blocks=3))
    bundle = summarise.analyse(msgspec.structs.replace(inputs, refused=(said,)))
    (told,) = [w for w in bundle.summary.warnings if w.code == "messages_refused"]
    assert told.evidence == said


def test_a_mode_refused_before_the_plan_is_an_arm_not_measured() -> None:
    """It has no place in the plan, but it was asked for: it is told with its reason."""
    spec = msgspec.structs.replace(
        make_spec(blocks=1), target="kubernetes", refused={Mode.BGP: "BGP is off here"}
    )
    begun = begun_with(spec)
    drawn = plan.draw(spec, ("n1", "n2"), exclusive=False)
    arms = {each.arm: each for each in gather._arms(begun, drawn)}
    assert arms["bgp/pod"].reason == "BGP is off here"
    assert arms["bgp/pod"].implementation is None
    assert {"vxlan/pod", "vxlan/pod#2", "ipip/pod", "bgp/host"} <= set(arms)
    assert "bgp/pod#2" not in arms


def test_what_is_left_in_a_cluster_is_a_flag(tmp_path: Path) -> None:
    """With the command that takes it away; a lab, and a run that tidied up, leave nothing."""
    rundir = store.create(tmp_path / "r")
    begun = begun_with(make_spec())
    for aftermath, left in (
        (None, False),
        (Aftermath(made=("IPPool p",), gone=("IPPool p",)), False),
        (Aftermath(made=("IPPool p",), left=("IPPool p: it is still there",)), True),
    ):
        changed = msgspec.structs.replace(begun, aftermath=aftermath)
        rundir.write_json(rundir.run_json, changed)
        found = conclude.left_behind(rundir)
        assert bool(found) == left
    assert "IPPool p: it is still there" in found[0]
    assert f"bench restore {rundir.path}" in found[0]


def begun_with(spec: RunSpec) -> record.RunRecord:
    """A run that has just begun."""
    return record.RunRecord(
        run_id="r",
        name=None,
        labels={},
        status="running",
        started=record.now(),
        ended=None,
        target=spec.target,
        spec=spec,
        options={},
        seed=spec.seed,
        versions={},
    )

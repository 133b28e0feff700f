"""A made-up run with known truths: tables and facts as a real one leaves them, seeded.

`run(...)` gives `Inputs`, `bundle(...)` the analysed `Bundle`. Truths are in `Truth`: median round
trip by mode, AR(1) inside sessions, effects of blocks and pairs, loss by direction, goodput share
by mode. Times are spent as the lab spends them: an idle regime for all pairs, then pair by pair the
pod and the host path, then transfers on two directed pairs with probes beside them.
"""

from collections.abc import Iterator
from itertools import combinations

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from podbench.analysis.bundle import Bundle, PlanFacts
from podbench.analysis.samples.inputs import ArmLaid, BlockProof, Inputs, VisitSpan
from podbench.analysis.summarise import analyse
from podbench.model.arms import OVERHEAD_BYTES, Mode, Path, parse_arm
from podbench.model.facts import ArmProof, Method, PairProof, Verdict
from podbench.model.summary import Cni, NodeSummary
from podbench.store import schemas

FloatArray = npt.NDArray[np.float64]

START_MONO_NS = 10_000 * 10**9
WALL_OFFSET_NS = 1_700_000_000 * 10**9
HOST_RTT_NS = 8_000.0
PROBE_SECONDS = {"idle": 1.5, "warm": 1.0, "loaded": 1.0}
PROBE_RATE = {"idle": 20.0, "warm": 1000.0, "loaded": 100.0}
IMPLEMENTATIONS = {"vxlan": "kernel device", "ipip": "eBPF at tc", "bgp": "routed"}


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What the made-up network is. Ratios; sizes in the unit of the name."""

    rtt_ns: dict[str, float] = msgspec.field(
        default_factory=lambda: {"vxlan": 15_000.0, "ipip": 11_000.0, "bgp": 8_800.0}
    )
    """Median kernel round trip on the pod path by mode."""
    app_extra_ns: float = 30_000.0
    ar1: float = 0.9
    sample_sd: float = 0.10
    """Log standard deviation inside a session."""
    run_sd: float = 0.02
    """Log standard deviation from visit to visit."""
    pair_sd: float = 0.03
    drift_sd: float = 0.01
    """Step of a random walk from visit to visit, shared by all arms."""
    tail_share: float = 0.02
    tail_factor: float = 3.0
    slow_node: dict[str, float] = {}
    """Factor on every round trip that touches a node."""
    loss_forward: dict[str, float] = {}
    """By arm name; its A/A repeat loses as much."""
    loss_backward: dict[str, float] = {}
    line_rate_bps: float = 1e10
    goodput_run_sd: float = 0.01
    cores_per_gbps: dict[str, float] = msgspec.field(
        default_factory=lambda: {"vxlan": 0.35, "ipip": 0.28, "bgp": 0.22}
    )
    steal_ratio: float = 0.002


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How large the run is and what it holds."""

    nodes: int = 3
    blocks: int = 5
    modes: tuple[str, ...] = ("vxlan", "ipip", "bgp")
    repeat: str | None = "vxlan"
    """The mode of the A/A arm; null: none."""
    throughput: bool = True
    host: bool = True
    kinds: tuple[tuple[str, int], ...] = (("tcp", 1),)
    """Transfers: (protocol, streams); ("udp", 64) is the small-packet test."""
    planned: int | None = None
    not_measured: dict[str, str] = {}
    """mode -> reason."""


def _ar1(rng: np.random.Generator, n: int, rho: float, sd: float) -> FloatArray:
    """(n,) stationary AR(1) with standard deviation sd, by the convolution of its memory."""
    memory = min(n, int(np.ceil(np.log(1e-6) / np.log(rho))) if rho > 0 else 1)
    kernel = rho ** np.arange(memory)
    shocks = rng.normal(0.0, sd * np.sqrt(1 - rho**2), n + memory)
    return np.asarray(np.convolve(shocks, kernel, mode="valid")[:n], dtype=np.float64)


class Maker:
    """Makes one run, visit by visit, on one clock."""

    def __init__(self, seed: int, shape: Shape, truth: Truth) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape, self.truth = shape, truth
        self.names = tuple(f"n{i + 1}" for i in range(shape.nodes))
        self.pair_effect = {
            pair: float(self.rng.normal(0.0, truth.pair_sd)) for pair in combinations(self.names, 2)
        }
        self.now_ns = START_MONO_NS
        self.walk = 0.0
        self.latency: list[pd.DataFrame] = []
        self.throughput: list[dict[str, object]] = []
        self.busy: list[tuple[int, int, float, float]] = []
        self.visits: list[VisitSpan] = []
        self.session = 1

    def arms(self) -> list[str]:
        """Pod arms of a block, the A/A repeat last."""
        found = [f"{mode}/pod" for mode in self.shape.modes]
        return found + ([f"{self.shape.repeat}/pod#2"] if self.shape.repeat else [])

    def _median_ns(self, arm: str, src: str, dst: str, visit: float) -> float:
        parsed = parse_arm(arm)
        base = HOST_RTT_NS if parsed.path is Path.HOST else self.truth.rtt_ns[parsed.mode]
        effect = self.pair_effect[min(src, dst), max(src, dst)]
        node = self.truth.slow_node.get(src, 1.0) * self.truth.slow_node.get(dst, 1.0)
        return float(base * node * np.exp(visit + effect + self.walk))

    def probe(self, place: dict[str, object], start_ns: int, median_ns: float) -> None:
        """One stream of probes."""
        truth, phase, arm = self.truth, str(place["phase"]), str(place["arm"])
        gap_ns = int(1e9 / PROBE_RATE[phase])
        n = int(PROBE_SECONDS[phase] * PROBE_RATE[phase])
        rng = self.rng
        logs = _ar1(rng, n, truth.ar1, truth.sample_sd)
        slow = np.where(rng.random(n) < truth.tail_share, np.log(truth.tail_factor), 0.0)
        kernel = median_ns * np.exp(logs + slow * rng.random(n))
        kernel *= {"idle": 4.0, "warm": 1.0, "loaded": 6.0}[phase]
        reflector = 20_000.0 * np.exp(rng.normal(0, 0.2, n))
        own = truth.app_extra_ns * np.exp(rng.normal(0, 0.25, n) + (rng.random(n) < 0.01) * 2.0)
        draw = rng.random(n)
        named = arm.partition("#")[0]
        forward = truth.loss_forward.get(named, 0.0)
        backward = forward + truth.loss_backward.get(named, 0.0)
        status = np.where(draw < forward, "lost_forward", "ok")
        status = np.where((draw >= forward) & (draw < backward), "lost_backward", status)
        back = status == "ok"
        mono = start_ns + gap_ns * np.arange(n)
        port = np.arange(n) % 8

        def seen(values: FloatArray) -> "pd.Series[int]":
            return pd.Series(np.round(values).astype(np.int64)).astype("Int64").where(back)

        zero = np.zeros(n, dtype=np.uint8)
        table = {
            **place,
            "family": "ipv4",
            "session_id": self.session + port,
            "src_port": 40_000 + port,
            "seq": np.arange(n) // 8,
            "intended_mono_ns": mono,
            "sent_wall_ns": mono + WALL_OFFSET_NS,
            "rtt_kernel_ns": seen(kernel),
            "rtt_app_ns": seen(kernel + reflector + own),
            "reflector_ns": seen(reflector),
            "host_ns": seen(own),
            "late_ns": rng.integers(1_000, 60_000, n),
            "ttl": 62,
            "status": status,
            "duplicates": zero,
            "duplicates_forward": zero,
            "duplicates_backward": zero,
            "reordered": False,
            "reorder_extent": pd.NA,
            "stamp_source": "kernel",
            "valid": True,
            "invalid_reason": None,
        }
        self.session += 8
        self.latency.append(pd.DataFrame(table))

    def transfer(self, place: dict[str, object], kind: tuple[str, int], visit: float) -> float:
        """One iperf3 transfer, both ends' rows; returns its rate."""
        protocol, streams = kind
        arm = parse_arm(str(place["arm"]))
        overhead = OVERHEAD_BYTES[arm.mode] if arm.path is Path.POD else 0
        share = (1500 - overhead - 52) / (1500 + 38)
        rate = self.truth.line_rate_bps * share * float(np.exp(visit))
        small = protocol == "udp"
        rate = 64 * 8 * 250_000.0 * float(np.exp(visit)) if small else rate
        flows = 1 if small else streams
        for side in ("sender", "receiver"):
            for stream in range(1, flows + 1):
                for i in range(10):
                    noise = float(np.exp(self.rng.normal(0, 0.02)))
                    slow_start = 0.5 if i < 3 else 1.0
                    row = {
                        **place,
                        "protocol": protocol,
                        "streams": flows,
                        "stream": stream,
                        "packet_bytes": 64 if small else 1448 - overhead,
                        "direction": side,
                        "interval_start_s": i * 0.1,
                        "interval_s": 0.1,
                        "bits_per_second": rate / flows * noise * slow_start,
                        "retransmits": int(self.rng.poisson(0.5)) if side == "sender" else None,
                        "cpu_local_ratio": 0.55,
                        "cpu_remote_ratio": 0.62,
                        "omitted": i < 3,
                        "status": "ok",
                        "reason": None,
                    }
                    self.throughput.append(row)
        return rate

    def visit(self, block: int, arm: str) -> None:
        """One arm in one block: idle regime, pairs in turn, transfers."""
        truth = self.truth
        self.walk += float(self.rng.normal(0.0, truth.drift_sd))
        effect = float(self.rng.normal(0.0, truth.run_sd))
        started = self.now_ns
        host_arm = parse_arm(arm).on(Path.HOST).name
        pairs = list(combinations(self.names, 2))
        directed = [pair if (block + i) % 2 else pair[::-1] for i, pair in enumerate(pairs)]
        for src, dst in directed:
            place = self._place(block, 1, arm, "idle", src, dst)
            self.probe(place, self.now_ns, self._median_ns(arm, src, dst, effect))
        self.now_ns += int(1.7e9)
        for number, (src, dst) in enumerate(directed, start=2):
            for path_arm in (arm, host_arm):
                place = self._place(block, number, path_arm, "warm", src, dst)
                self.probe(place, self.now_ns, self._median_ns(path_arm, src, dst, effect))
                self.now_ns += int(1.1e9)
        if self.shape.throughput:
            self._transfers(block, arm, directed, effect)
        self.visits.append(
            VisitSpan(block=block, arm=arm, start_mono_ns=started, end_mono_ns=self.now_ns)
        )

    def _transfers(
        self, block: int, arm: str, directed: list[tuple[str, str]], effect: float
    ) -> None:
        mode = str(parse_arm(arm).mode)
        everyone = directed + [pair[::-1] for pair in directed]
        chosen = [everyone[(2 * block + i) % len(everyone)] for i in range(min(2, len(everyone)))]
        wobble = float(self.rng.normal(0.0, self.truth.goodput_run_sd))
        for number, (src, dst) in enumerate(chosen, start=50):
            for kind in self.shape.kinds:
                place = self._place(block, number, arm, "loaded", src, dst)
                self.probe(place, self.now_ns, self._median_ns(arm, src, dst, effect))
                del place["phase"]
                rate = self.transfer(place, kind, wobble)
                cores = self.truth.cores_per_gbps[mode] * rate / 1e9
                self.busy.append((self.now_ns, self.now_ns + 10**9, cores, block))
                self.now_ns += int(1.3e9)

    def _place(
        self, block: int, number: int, arm: str, phase: str, src: str, dst: str
    ) -> dict[str, object]:
        parsed = parse_arm(arm)
        return {
            "run_id": "synthetic",
            "block": block,
            "round": number,
            "arm": arm,
            "mode": str(parsed.mode),
            "path": str(parsed.path),
            "src": src,
            "dst": dst,
            "phase": phase,
        }

    def ticks(self, cores: int = 8) -> Iterator[dict[str, object]]:
        """Host counters of the one machine at 10 Hz."""
        spans = sorted((v.start_mono_ns, v.end_mono_ns, v.block) for v in self.visits)
        for mono in range(START_MONO_NS, self.now_ns, 10**8):
            block = next((b for start, end, b in spans if start <= mono < end), None)
            used = 0.3 + float(self.rng.normal(0, 0.02))
            used += sum(
                c for start, end, c, _ in self.busy if start <= mono - 10**8 and mono <= end
            )
            busy = min(1.0, max(0.01, used / cores))
            steal = self.truth.steal_ratio * float(self.rng.exponential())
            yield {
                "run_id": "synthetic",
                "block": block,
                "node": "machine",
                "mono_ns": mono,
                "wall_ns": mono + WALL_OFFSET_NS,
                "interval_ns": 10**8,
                "cores": cores,
                "cpu_user_ratio": busy * 0.2,
                "cpu_system_ratio": busy * 0.5,
                "cpu_irq_ratio": 0.0,
                "cpu_softirq_ratio": busy * 0.3,
                "cpu_steal_ratio": min(steal, 1.0 - busy),
                "cpu_iowait_ratio": 0.0,
                "cpu_idle_ratio": max(0.0, 1.0 - busy - steal),
                "cpu_busiest_ratio": min(1.0, busy * 2.5),
                "cpu_busiest_softirq_ratio": min(1.0, busy),
                "softnet_processed": int(busy * 10_000),
                "softnet_dropped": 0,
                "softnet_squeezed": 0,
                "runqueue_wait_ns": int(busy * 1e6),
                "udp_rcvbuf_errors": 0,
                "udp_in_csum_errors": 0,
                "tcp_retransmits": 0,
                "ip_frag_creates": 0,
            }


def _frame(rows: pd.DataFrame | list[dict[str, object]], probe: str) -> pd.DataFrame:
    """Exactly the columns of the schema, missing ones null."""
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    return table.reindex(columns=schemas.BY_PROBE[probe].names)


def _proof(mode: str, names: tuple[str, ...]) -> ArmProof:
    pairs = tuple(
        PairProof(
            src=src,
            dst=dst,
            mode=Mode(mode),
            verdict=Verdict.MATCH,
            method=Method.COUNTED,
            observed=mode,
            route_origin="BIRD" if mode == "bgp" else "Felix",
            evidence={"probes": 64, "tunnel packets": 64, "route": f"via {dst}"},
        )
        for src in names
        for dst in names
        if src != dst
    )
    return ArmProof(
        mode=Mode(mode),
        verdict=Verdict.MATCH,
        method=Method.COUNTED,
        observed=mode,
        route_origin=pairs[0].route_origin,
        pairs_matched=len(pairs),
        pairs_total=len(pairs),
        pairs=pairs,
    )


def _laid(maker: Maker) -> tuple[ArmLaid, ...]:
    found = []
    for name in [*maker.arms(), *(f"{mode}/host" for mode in maker.shape.modes)]:
        arm = parse_arm(name)
        mtu = 1500 - (OVERHEAD_BYTES[arm.mode] if arm.path is Path.POD else 0)
        how = IMPLEMENTATIONS[arm.mode] if arm.path is Path.POD else None
        found.append(ArmLaid(arm=name, implementation=how, pod_mtu=mtu))
    missing = maker.shape.not_measured
    return (*found, *(ArmLaid(arm=f"{m}/pod", reason=why) for m, why in missing.items()))


def run(seed: int = 1, shape: Shape | None = None, truth: Truth | None = None) -> Inputs:
    """A whole run as the lead reads it from a run directory."""
    shape, truth = shape or Shape(), truth or Truth()
    maker = Maker(seed, shape, truth)
    for block in range(1, shape.blocks + 1):
        for arm in maker.rng.permutation(maker.arms()):
            maker.visit(block, str(arm))
    latency = pd.concat(maker.latency, ignore_index=True) if maker.latency else None
    minutes = (maker.now_ns - START_MONO_NS) / 1e9
    return Inputs(
        run_id="20260801T120000Z-lab-calico",
        name="synthetic",
        labels={"kind": "synthetic"},
        started="2026-08-01T12:00:00Z",
        ended="2026-08-01T12:05:00Z",
        target="lab",
        cni=Cni(name="calico", version="3.30", requested="calico", detected_from=("requested",)),
        versions={"podbench": "0.1.0", "iperf3": "3.12", "kernel": "6.18"},
        spec={"budget": "200s", "nodes": shape.nodes},
        seed=seed,
        nodes=tuple(
            NodeSummary(name=name, kernel="6.18", cpu_model="made up", mtu_underlay=1500)
            for name in maker.names
        ),
        method="pools",
        arms=_laid(maker),
        proofs=tuple(
            BlockProof(block=block, proof=_proof(mode, maker.names))
            for block in range(1, shape.blocks + 1)
            for mode in shape.modes
        ),
        plan=PlanFacts(
            blocks_planned=shape.planned or shape.blocks,
            blocks_done=shape.blocks,
            visits=len(maker.visits),
            rounds=len(maker.visits) * 4,
            measuring_s=minutes,
            arms_in_block=tuple(maker.arms()),
        ),
        visits=tuple(maker.visits),
        latency=None if latency is None else _frame(latency, "latency"),
        throughput=_frame(maker.throughput, "throughput") if shape.throughput else None,
        host=_frame(list(maker.ticks()), "host") if shape.host else None,
    )


def bundle(nodes: int = 3, blocks: int = 5, seed: int = 1, truth: Truth | None = None) -> Bundle:
    """An analysed run of the usual shape."""
    return analyse(run(seed, Shape(nodes=nodes, blocks=blocks), truth))

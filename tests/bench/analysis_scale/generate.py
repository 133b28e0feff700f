"""Writes the samples of a large run fast: made-up round trips in the real schema and layout."""

import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from podbench.model.arms import parse_arm
from podbench.store import schemas
from podbench.store.rundir import RunDir

MODES = ("vxlan", "ipip", "bgp")
MEDIAN_NS = {"vxlan": 15_000.0, "ipip": 11_000.0, "bgp": 8_800.0, "host": 8_000.0}
_POOL = 1 << 20


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """What to make: every pair of nodes in every arm and block, pod and host path."""

    samples: int
    nodes: int = 20
    blocks: int = 5

    @property
    def arms(self) -> tuple[str, ...]:
        """Each mode on both paths, and the A/A repeat."""
        named = [*MODES, "vxlan#2"]
        found = []
        for name in named:
            mode, mark, repeat = name.partition("#")
            found += [f"{mode}/{path}{mark}{repeat}" for path in ("pod", "host")]
        return tuple(found)

    @property
    def per_cell(self) -> int:
        """Probes of one pair in one block and arm, so that all together come to `samples`."""
        pairs = self.nodes * (self.nodes - 1) // 2
        return max(1, round(self.samples / (pairs * self.blocks * len(self.arms))))


class Maker:
    """Draws from pools made once: AR(1) logarithms, tails, residence and own host time."""

    def __init__(self, seed: int, size: Size) -> None:
        self.rng, self.size = np.random.default_rng(seed), size
        shocks = self.rng.normal(0.0, 0.1 * np.sqrt(1 - 0.81), _POOL + 100)
        kernel = 0.9 ** np.arange(100)
        logs = np.convolve(shocks, kernel, mode="valid")[:_POOL]
        slow = np.where(self.rng.random(_POOL) < 0.02, 1.1 * self.rng.random(_POOL), 0.0)
        self.shape = np.exp(logs + slow)
        self.residence = np.rint(20_000 * np.exp(self.rng.normal(0, 0.2, _POOL))).astype(np.int64)
        self.own = np.rint(30_000 * np.exp(self.rng.normal(0, 0.25, _POOL))).astype(np.int64)
        self.now_ns = 10_000 * 10**9

    def stream(self, place: dict[str, object], median_ns: float) -> pa.Table:
        """One pair's warm probes at 1 kHz, one in two thousand of them lost."""
        n = self.size.per_cell
        spot = int(self.rng.integers(0, _POOL - 1))
        rows = (spot + np.arange(n)) % _POOL
        kernel = np.rint(median_ns * self.shape[rows]).astype(np.int64)
        lost = self.rng.random(n) < 5e-4
        mono = self.now_ns + 1_000_000 * np.arange(n)
        number = np.arange(n)
        given: dict[str, object] = {
            **place,
            "session_id": 100 + number % 8,
            "src_port": 40_000 + number % 8,
            "seq": number // 8,
            "intended_mono_ns": mono,
            "sent_wall_ns": mono + 1_700_000_000 * 10**9 + number % 997,
            "rtt_kernel_ns": pa.array(kernel, mask=lost),
            "rtt_app_ns": pa.array(kernel + self.residence[rows] + self.own[rows], mask=lost),
            "reflector_ns": pa.array(self.residence[rows], mask=lost),
            "host_ns": pa.array(self.own[rows], mask=lost),
            "late_ns": 20_000 + self.own[rows] // 7,
            "ttl": 62,
            "status": _texts(("ok", "lost_forward"), lost),
            "duplicates": 0,
            "duplicates_forward": 0,
            "duplicates_backward": 0,
            "reordered": False,
            "stamp_source": "kernel",
            "valid": True,
        }
        return pa.Table.from_arrays(
            [_column(given.get(field.name), field.type, n) for field in schemas.LATENCY],
            schema=_CODED,
        )


def _texts(names: tuple[str, ...], code: np.ndarray) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(code.astype(np.int32)), pa.array(names))


_CODED = pa.schema(
    [
        pa.field(
            f.name, pa.dictionary(pa.int32(), pa.string()) if f.type == pa.string() else f.type
        )
        for f in schemas.LATENCY
    ],
    metadata=schemas.LATENCY.metadata,
)


def _column(given: object, kind: pa.DataType, rows: int) -> pa.Array:
    if kind == pa.string():
        kind = pa.dictionary(pa.int32(), pa.string())
        if given is None:
            return pa.nulls(rows, kind)
        if isinstance(given, str):
            return _texts((given,), np.zeros(rows))
        return given
    if given is None:
        return pa.nulls(rows, kind)
    if isinstance(given, int | bool):
        return pa.array(np.full(rows, given), kind)
    return pa.array(given, kind) if isinstance(given, np.ndarray) else given


def rounds(nodes: int) -> Iterator[list[tuple[str, str]]]:
    """Perfect matchings by the circle method; one idle node where the number is odd."""
    names: list[str | None] = [f"n{i + 1:03}" for i in range(nodes)]
    if nodes % 2:
        names.append(None)
    for _ in range(len(names) - 1):
        half = len(names) // 2
        found = zip(names[:half], reversed(names[half:]), strict=True)
        yield [(a, b) for a, b in found if a is not None and b is not None]
        names.insert(1, names.pop())


def write(run: RunDir, size: Size, seed: int = 1) -> tuple[int, int, float]:
    """Writes samples/latency; returns (rows, octets on disk, seconds)."""
    began = time.monotonic()
    maker = Maker(seed, size)
    rows = octets = 0
    effects = {
        pair: float(np.exp(maker.rng.normal(0.0, 0.03)))
        for pair in combinations(sorted({n for r in rounds(size.nodes) for p in r for n in p}), 2)
    }
    for block in range(1, size.blocks + 1):
        for arm in size.arms:
            parsed = parse_arm(arm)
            visit = float(np.exp(maker.rng.normal(0.0, 0.02)))
            name = str(parsed.mode) if parsed.path == "pod" else "host"
            for number, pairs in enumerate(rounds(size.nodes), start=1):
                tables = []
                for pair in pairs:
                    src, dst = pair if block % 2 else pair[::-1]
                    place: dict[str, object] = {
                        "run_id": "scale",
                        "block": block,
                        "round": number,
                        "arm": arm,
                        "mode": str(parsed.mode),
                        "path": str(parsed.path),
                        "phase": "warm",
                        "family": "ipv4",
                        "src": src,
                        "dst": dst,
                    }
                    effect = effects[min(pair), max(pair)] * visit
                    tables.append(maker.stream(place, MEDIAN_NS[name] * effect))
                maker.now_ns += 1_000_000 * (size.per_cell + 2_500)
                octets += _file(run.samples("latency", block, parsed, number), tables)
                rows += sum(table.num_rows for table in tables)
    return rows, octets, time.monotonic() - began


def _file(path: Path, tables: list[pa.Table]) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = pa.concat_tables(tables).unify_dictionaries()
    pq.write_table(whole, path, compression="zstd", write_statistics=False, store_schema=False)
    return path.stat().st_size

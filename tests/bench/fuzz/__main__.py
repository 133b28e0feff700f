"""Ten million hostile inputs for everything that reads what others write.

    .venv/bin/python tests/bench/fuzz [--inputs 10000000] [--seed 1] [--only NAME,...]
    .venv/bin/python tests/bench/fuzz --atheris NAME [libFuzzer's options]

Half of the inputs go to the reflector as datagrams, half are shared by the other decoders
(support/fuzz): good inputs with octets changed, cut, doubled or joined, and random ones. A decoder
may refuse by podbench's own errors; anything else that escapes is printed with the input and the
seed, and makes the exit code 1. With atheris installed, `--atheris NAME` searches by coverage.
"""

import argparse
import importlib
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from support.fuzz import decoders, reflector

from podbench.model.errors import PodbenchError

INTERESTING = (
    b"\xff",
    b"\0",
    b"\x80",
    b"{",
    b"[",
    b"]",
    b'"',
    b"\\u0000",
    b"1e999",
    b"-1",
    b"null",
)
MOST_BYTES = 4096
SLOW = {"limits": 20, "options": 20, "journal": 4, "run_files": 4, "changes": 4}
"""YAML, and files that are written first: so many times fewer inputs."""


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A good input made worse."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 if at < len(data):
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randrange(1, 9)]
            case 2:
                data[at:at] = rng.choice(INTERESTING)
            case 3:
                data[at:at] = data[at : at + rng.randrange(1, 33)]
            case 4 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 5 if rng.random() < 0.1:
                data = bytearray(rng.randbytes(rng.randrange(200)))
            case _:
                pass
    return bytes(data[:MOST_BYTES])


def fuzz(name: str, inputs: int, seed: int) -> int:
    """Feeds one decoder; returns how many inputs it was not ready for."""
    decode, seeds = decoders.TARGETS[name]
    rng = random.Random(f"{seed}/{name}")
    found = refused = 0
    began = time.monotonic()
    for number in range(inputs):
        data = mutated(rng, seeds)
        try:
            decode(data)
        except PodbenchError:
            refused += 1
        except Exception as error:  # noqa: BLE001 - what is looked for
            found += 1
            if found <= 3:
                print(f"{name}, input {number}, seed {seed}: {type(error).__name__}: {error}")
                print(f"  {data.hex()}")
    took_s = time.monotonic() - began
    print(f"{name}: {inputs} inputs, {refused} refused, {found} finds, {took_s:.0f} s", flush=True)
    return found


def guided(name: str, arguments: Sequence[str]) -> None:
    """Searches by coverage, for ever or as libFuzzer's options say."""
    # No wheels for every Python, and no types: an option, looked for when it is asked for.
    atheris = importlib.import_module("atheris")
    decode = decoders.TARGETS[name][0]

    def one(data: bytes) -> None:
        try:
            decode(data)
        except PodbenchError:
            return

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def main() -> int:
    """Shares the inputs out; exit code 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(("reflector", *decoders.TARGETS)))
    parser.add_argument("--atheris", metavar="NAME")
    options, rest = parser.parse_known_args()
    if options.atheris:
        guided(options.atheris, rest)
        return 0
    names = [name for name in options.only.split(",") if name != "reflector"]
    found = 0
    if "reflector" in options.only:
        counters = reflector.fuzz(options.inputs // 2, options.seed)
        print("reflector:", ", ".join(f"{name} {count}" for name, count in counters.items()))
    weights = {name: 1 / SLOW.get(name, 1) for name in names}
    for name in names:
        share = weights[name] / sum(weights.values())
        found += fuzz(name, round(options.inputs / 2 * share), options.seed)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

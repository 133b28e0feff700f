"""What proofs of several blocks say of a pair together."""

import msgspec
from support import synthetic

from podbench.analysis.findings import proofs
from podbench.analysis.samples.inputs import BlockProof
from podbench.model.facts import Verdict


def _held(*verdicts: Verdict) -> list[BlockProof]:
    """One proof a block, whose first pair has these verdicts."""
    sound = synthetic.run(3, synthetic.Shape(nodes=2, blocks=1)).proofs[0]
    found = []
    for block, verdict in enumerate(verdicts, 1):
        first, *others = sound.proof.pairs
        pairs = (msgspec.structs.replace(first, verdict=verdict), *others)
        proof = msgspec.structs.replace(sound.proof, pairs=pairs)
        found.append(msgspec.structs.replace(sound, block=block, proof=proof))
    return found


def test_the_worst_block_speaks_for_a_pair() -> None:
    """Its samples are among the pair's figures, so a later match does not mend it."""
    held = _held(Verdict.MATCH, Verdict.FELL_BACK, Verdict.MATCH)
    pair = held[0].proof.pairs[0]
    arm = f"{pair.mode}/pod"
    found = proofs.of_pairs(held)
    assert found[arm, pair.src, pair.dst].verdict == "fell back"
    assert found[f"{arm}#2", pair.src, pair.dst].verdict == "fell back"
    assert found[arm, pair.dst, pair.src].verdict == "match"

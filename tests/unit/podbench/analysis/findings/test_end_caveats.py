"""What the ends counted becomes a warning with its direction and its place."""

import msgspec
from support import synthetic

from podbench.analysis.findings import end_caveats
from podbench.analysis.samples.inputs import EndCounted, Inputs


def _inputs(*counted: EndCounted) -> Inputs:
    whole = synthetic.run(shape=synthetic.Shape(nodes=2, blocks=1))
    return msgspec.structs.replace(whole, counted=counted)


def _end(end: str, **counts: int) -> EndCounted:
    return EndCounted(block=2, arm="vxlan/pod", node="n1", end=end, counts=counts)


def test_nothing_counted_nothing_said() -> None:
    """A sound run has no such warnings."""
    assert list(end_caveats.of_ends(_inputs())) == []


def test_checksum_errors_have_a_direction() -> None:
    """At the reflector it was a request, at the sender a reply."""
    found = list(
        end_caveats.of_ends(
            _inputs(_end("reflector", csum_errors=3), _end("sender", csum_errors=1))
        )
    )
    assert [doubt.code for doubt in found] == ["checksum_errors"]
    assert found[0].message.startswith("4 datagrams")
    assert found[0].message.endswith("(3 requests, 1 replies)")
    assert found[0].evidence == (
        "block 2 vxlan/pod reflector n1: 3 csum_errors; block 2 vxlan/pod sender n1: 1 csum_errors"
    )


def test_each_kind_is_a_warning_of_its_own() -> None:
    """Buffers, refusals and failed sends are told apart; long lists are cut."""
    ends = [_end("reflector", rx_drops=2, unauthenticated=5, rate_limited=1)] * 9
    found = {
        doubt.code: doubt
        for doubt in end_caveats.of_ends(_inputs(*ends, _end("sender", send_errors=4)))
    }
    assert set(found) == {"socket_buffer_drops", "requests_not_answered", "probes_not_sent"}
    assert found["requests_not_answered"].message.startswith("54 requests")
    assert (found["socket_buffer_drops"].evidence or "").endswith("; ...")
    assert "4 send_errors" in (found["probes_not_sent"].evidence or "")

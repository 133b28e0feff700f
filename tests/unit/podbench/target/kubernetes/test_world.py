"""The pool that is tried beforehand is the one that is made."""

import msgspec

from podbench.cni.calico import pools
from podbench.target.kubernetes.deploy.canonical import CANONICAL
from podbench.target.kubernetes.deploy.objects import objects
from podbench.target.kubernetes.deploy.settings import mode_set
from podbench.target.kubernetes.world import pool_object


def test_the_pool_that_is_tried_is_the_one_that_is_made() -> None:
    """Field by field, for every mode, labels included."""
    for planned in pools.plan(pools.DEFAULT_CIDR, pools.MODES):
        passwords = {
            **CANONICAL.credentials.passwords,
            f"canonical-node-{planned.mode}": "canonical-password-of-this",
        }
        settings = msgspec.structs.replace(
            CANONICAL,
            run_id="run-7",
            modes=(mode_set(planned.mode, planned),),
            credentials=msgspec.structs.replace(CANONICAL.credentials, passwords=passwords),
        )
        (made,) = (each for each in objects(settings) if each["kind"] == "IPPool")
        assert pool_object(planned, "run-7") == made

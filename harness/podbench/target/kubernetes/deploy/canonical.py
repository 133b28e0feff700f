"""The deployment whose rendering the package carries.

Each value is one that nothing else in the chart is or contains, so that `objects` finds the places
that show it; the chart's schema admits all of them.
"""

from podbench.model.arms import Mode
from podbench.target.kubernetes.deploy.settings import (
    CANARY_COMPONENT,
    HOST_COMPONENT,
    ORCHESTRATOR,
    Broker,
    Credentials,
    ModeSet,
    NewPool,
    Settings,
)

NODE = "canonical-node"
CANONICAL = Settings(
    run_id="canonical-run",
    image="canonical.invalid/image:0",
    nodes=(NODE,),
    modes=(
        ModeSet(
            mode=Mode.NATIVE,
            pool="podbench-vxlan",
            create=NewPool(
                cidr="192.0.2.0/24", ipip_mode="Never", vxlan_mode="Always", block_size=29
            ),
        ),
    ),
    broker=Broker(node="canonical-broker-node", address="192.0.2.1", port=10001),
    credentials=Credentials(
        passwords={
            f"{NODE}-{HOST_COMPONENT}": "canonical-password-of-host",
            f"{NODE}-{CANARY_COMPONENT}": "canonical-password-of-canary",
            f"{NODE}-{Mode.NATIVE}": "canonical-password-of-native",
            ORCHESTRATOR: "canonical-password-of-orchestrator",
        },
        hmac_key="ca" * 32,
        salt=b"canonical---",
        ca="-----BEGIN CERTIFICATE-----\ncanonical ca\n",
        certificate="-----BEGIN CERTIFICATE-----\ncanonical certificate\n",
        key="-----BEGIN PRIVATE KEY-----\ncanonical key\n",
    ),
    lease_holder="canonical-holder",
    lease_s=599,
    pull_policy="Always",
    pull_secrets=("canonical-pull-secret",),
    node_selector={"canonical": "node-selector"},
    tolerations=({"key": "canonical-toleration", "operator": "Exists"},),
    agent_port=10002,
    agent_cpu="10003m",
    agent_memory="10004Mi",
    agent_memory_limit="10005Mi",
    canary_cpu="10009m",
    broker_cpu="10006m",
    broker_memory="10007Mi",
    broker_memory_limit="10008Mi",
    node_status=True,
)
"""The deployment that `manifests/` shows."""

"""Deployments of several kinds, as the chart and `objects` must both be able to make them."""

import msgspec

from podbench.model.arms import Mode
from podbench.target.kubernetes.deploy.settings import (
    ORCHESTRATOR,
    Broker,
    Credentials,
    ModeSet,
    NewPool,
    OtherBroker,
    Settings,
    agents,
)

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n"

POOLS = (
    ModeSet(
        mode=Mode.VXLAN,
        pool="podbench-vxlan",
        create=NewPool(cidr="198.18.64.0/18", ipip_mode="Never", vxlan_mode="Always"),
    ),
    ModeSet(
        mode=Mode.IPIP,
        pool="podbench-ipip",
        create=NewPool(cidr="198.18.128.0/18", ipip_mode="Always", vxlan_mode="Never"),
    ),
    ModeSet(
        mode=Mode.BGP,
        pool="podbench-bgp",
        create=NewPool(
            cidr="198.18.192.0/18", ipip_mode="Never", vxlan_mode="Never", block_size=28
        ),
    ),
)


def settings(**changes: object) -> Settings:
    """A usual deployment, and what a test wants otherwise; all agents have passwords."""
    usual = Settings(
        run_id="20261123T091200Z-kubernetes-calico",
        image="registry.example:5000/podbench/agent@sha256:" + "ab" * 32,
        nodes=("n1", "ip-10-0-0-2.ec2.internal"),
        modes=POOLS,
        broker=Broker(node="ip-10-0-0-2.ec2.internal", address="10.0.0.2"),
        credentials=Credentials(
            passwords={}, hmac_key="0f" * 32, salt=b"0123456789ab", ca=CERTIFICATE
        ),
        lease_holder="engineer@machine-1234",
    )
    chosen: Settings = msgspec.structs.replace(usual, **changes)
    names = (*agents(chosen), ORCHESTRATOR)
    credentials = msgspec.structs.replace(
        chosen.credentials,
        passwords={name: f"secret-of-{name.replace('.', '_')}-0123456789" for name in names},
        certificate=CERTIFICATE,
        key=KEY,
    )
    return msgspec.structs.replace(chosen, credentials=credentials)


NO_CA = Credentials(passwords={}, hmac_key="a0" * 16, salt=b"0123456789ab")

CASES: dict[str, Settings] = {
    "pools": settings(),
    "observed": settings(modes=(ModeSet(mode=Mode.HOST_GW),), network_policy=False),
    "one pool that exists": settings(modes=(ModeSet(mode=Mode.VXLAN, pool="default-ipv4"),)),
    "capture": settings(capture=True),
    "another broker": settings(
        broker=OtherBroker(url="mqtts://broker.example:8883", port=8883, username="bench"),
        credentials=NO_CA,
    ),
    "another broker of ours to trust": settings(
        broker=OtherBroker(url="mqtts://broker.example:8884", port=8884)
    ),
    "everything else": settings(
        run_id="canonical-run.2",  # contains what the carried rendering is told by
        nodes=("canonical-broker-node",),
        image="a",
        broker=Broker(node="canonical-broker-node", address="fd00::1", port=10002),
        pull_policy="Never",
        pull_secrets=("one", "two"),
        node_selector={},
        tolerations=(
            {"operator": "Exists"},
            {"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"},
        ),
        agent_port=10001,
        agent_cpu="1",
        agent_memory="1Gi",
        agent_memory_limit="2Gi",
        canary_cpu="3m",
        broker_cpu="2",
        broker_memory="3Gi",
        broker_memory_limit="4Gi",
        lease_s=29,
        lease_holder="canonical-run",
    ),
    "node selector": settings(node_selector={"disk": "ssd", "kubernetes.io/os": "linux"}),
}

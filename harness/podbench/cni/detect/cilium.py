"""Cilium as its ConfigMap shows it: tunnel or native routing, Services, encryption, chaining.

Source: cilium/cilium, install/kubernetes/cilium/templates/cilium-configmap.yaml. Keys have changed
with releases: up to 1.13 one key `tunnel` held both the routing mode and the protocol.
"""

from collections.abc import Mapping

import msgspec

from podbench.cni.detect.facts import ClusterFacts, Fact, dig, told, unknown
from podbench.model.arms import Mode

CONFIG_MAP = "cilium-config"
PORTS = {"vxlan": 8472, "geneve": 6081}
"""Cilium's defaults; VXLAN's is Flannel's, not the registered 4789."""
MODES = {"vxlan": Mode.VXLAN, "geneve": Mode.GENEVE, "native": Mode.NATIVE}
REPLACED = {"true": True, "strict": True, "false": False, "disabled": False}
"""`partial` and `probe`, of old releases, depend on the node."""


class CiliumDetected(msgspec.Struct, frozen=True, kw_only=True):
    """What could be told of Cilium."""

    version: Fact[str]
    routing: Fact[str]
    """`tunnel` or `native`."""
    encapsulation: Fact[str]
    """`vxlan`, `geneve`, or `native` where packets are routed."""
    mode: Mode | None
    """The encapsulation in podbench's words; null where it is not known."""
    udp_port: Fact[int]
    direct_routes: Fact[bool]
    """Nodes install routes to each other's pods by themselves, as Flannel's host-gw does."""
    native_cidr: Fact[str]
    proxy_replacement: Fact[bool]
    """Whether Cilium serves Services in kube-proxy's place."""
    encryption: Fact[str]
    """`wireguard`, `ipsec`, or `none`."""
    datapath: Fact[str]
    """`veth`, `netkit`, `netkit-l2`, ..."""
    endpoint_routes: Fact[bool]
    host_routing: Fact[str]
    """`bpf` (past the host's stack) or `legacy`."""
    bandwidth_manager: Fact[bool]
    bgp_control_plane: Fact[bool]
    ipam: Fact[str]
    pod_mtu: Fact[int]
    devices: Fact[str]
    load_balancing: Fact[str]
    """`snat`, `dsr` or `hybrid`."""
    chained: Fact[str]
    """`none`, or the CNI that carries the packets while Cilium enforces policy."""


def detect_cilium(facts: ClusterFacts, version: Fact[str]) -> CiliumDetected:
    """Everything about Cilium.

    Args:
        facts: The cluster.
        version: By its image, or why not.
    """
    found = facts.named("configmaps", CONFIG_MAP)
    settings: Mapping[str, str] | None = dig(found, "data") if found is not None else None
    look = _Look(settings, facts.why_unread("configmaps") or f"no ConfigMap {CONFIG_MAP}")
    routing, encapsulation = _routing(look), _encapsulation(look)
    return CiliumDetected(
        version=version,
        routing=routing,
        encapsulation=encapsulation,
        mode=MODES.get(encapsulation.value or ""),
        udp_port=_port(look, encapsulation),
        direct_routes=look.switch("auto-direct-node-routes", default=False),
        native_cidr=look.text("ipv4-native-routing-cidr"),
        proxy_replacement=_proxy_replacement(look),
        encryption=_encryption(look),
        datapath=look.text("datapath-mode", default="veth"),
        endpoint_routes=look.switch("enable-endpoint-routes", default=False),
        host_routing=_host_routing(look),
        bandwidth_manager=look.switch("enable-bandwidth-manager", default=False),
        bgp_control_plane=look.switch("enable-bgp-control-plane", default=False),
        ipam=look.text("ipam"),
        pod_mtu=_mtu(look),
        devices=look.text("devices"),
        load_balancing=look.text("bpf-lb-mode", default="snat"),
        chained=look.text("cni-chaining-mode", default="none"),
    )


class _Look(msgspec.Struct, frozen=True):
    """The ConfigMap's settings; null where it could not be read, with the reason."""

    settings: Mapping[str, str] | None
    why_none: str

    def raw(self, key: str) -> str | None:
        """A setting as it stands; null where it is missing or empty."""
        return (self.settings or {}).get(key) or None

    def text(self, key: str, *, default: str | None = None) -> Fact[str]:
        """A setting, its default, or why it is not known."""
        if self.settings is None:
            return unknown(self.why_none)
        value = self.raw(key)
        if value is not None:
            return told(value, f"ConfigMap {CONFIG_MAP}, {key}")
        if default is not None:
            return told(default, f"Cilium's default, {key} is not set")
        return unknown(f"{key} is not set: Cilium decides on each node")

    def switch(self, key: str, *, default: bool) -> Fact[bool]:
        """A setting that is on or off."""
        text = self.text(key, default="true" if default else "false")
        match (text.value or "").lower():
            case "true":
                return told(value=True, source=text.source or "")
            case "false":
                return told(value=False, source=text.source or "")
        return unknown(text.reason or f"{key} is {text.value!r}")


def _routing(look: _Look) -> Fact[str]:
    if look.raw("routing-mode") is None and (old := look.raw("tunnel")) is not None:
        return told("native" if old == "disabled" else "tunnel", f"ConfigMap {CONFIG_MAP}, tunnel")
    return look.text("routing-mode", default="tunnel")


def _encapsulation(look: _Look) -> Fact[str]:
    routing = _routing(look)
    if routing.value is None:
        return unknown(routing.reason or "the routing mode is not known")
    if routing.value != "tunnel":
        return routing
    old = look.raw("tunnel")
    if look.raw("tunnel-protocol") is None and old is not None:
        return told(old, f"ConfigMap {CONFIG_MAP}, tunnel")
    return look.text("tunnel-protocol", default="vxlan")


def _port(look: _Look, encapsulation: Fact[str]) -> Fact[int]:
    number = look.raw("tunnel-port") or ""
    if number.isdigit() and int(number):
        return told(int(number), f"ConfigMap {CONFIG_MAP}, tunnel-port")
    if encapsulation.value in PORTS:
        return told(PORTS[encapsulation.value], "Cilium's default, tunnel-port is not set")
    what = encapsulation.value
    return unknown("packets are routed" if what else encapsulation.reason or "not known")


def _proxy_replacement(look: _Look) -> Fact[bool]:
    text = look.text("kube-proxy-replacement", default="false")
    if text.value is None:
        return unknown(text.reason or "not known")
    value = REPLACED.get(text.value.lower())
    if value is None:
        return unknown(f"kube-proxy-replacement is {text.value!r}: it depends on the node")
    return Fact(value, text.source)


def _encryption(look: _Look) -> Fact[str]:
    for key, name in (("enable-wireguard", "wireguard"), ("enable-ipsec", "ipsec")):
        on = look.switch(key, default=False)
        if on.value is None:
            return unknown(on.reason or "not known")
        if on.value:
            return told(name, on.source or "")
    return told("none", "neither enable-wireguard nor enable-ipsec is true")


def _host_routing(look: _Look) -> Fact[str]:
    legacy = look.switch("enable-host-legacy-routing", default=False)
    if legacy.value:
        return told("legacy", legacy.source or "")
    # Cilium falls back by itself where the kernel or other settings do not allow it.
    return unknown(legacy.reason or "not set to legacy: Cilium uses BPF where the node allows it")


def _mtu(look: _Look) -> Fact[int]:
    text = look.raw("mtu") or ""
    if text.isdigit() and int(text):
        return told(int(text), f"ConfigMap {CONFIG_MAP}, mtu")
    return unknown(
        look.why_none
        if look.settings is None
        else "Cilium detects the MTU on each node; the agents' own interfaces show it"
    )

"""Which proxy leads to a server: the kubeconfig's, else the environment's, as Go reads it.

Source: golang.org/x/net/http/httpproxy; kubernetes/client-go, tools/clientcmd (parseProxyURL).
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

USABLE = ("http", "https")
SOCKS = ("socks5", "socks5h")


def choose(named: str | None, server: str, environment: Mapping[str, str]) -> str | None:
    """The proxy's URL; null: straight to the server.

    Args:
        named: The kubeconfig's `proxy-url`, which is taken whatever the environment says.
        server: Where the requests go.
        environment: Holds `HTTPS_PROXY` and `NO_PROXY`, in capitals or not.

    Raises:
        ValueError: It is no proxy that podbench can use; says why.
    """
    if named:
        return _usable(named, "proxy-url")
    parts = urlsplit(server)
    variable = "HTTPS_PROXY" if parts.scheme == "https" else "HTTP_PROXY"
    found = environment.get(variable) or environment.get(variable.lower())
    if not found or _spared(parts.hostname or "", parts.port, parts.scheme, environment):
        return None
    return _usable(found if "://" in found else f"http://{found}", variable)


def _usable(url: str, where: str) -> str:
    parts = urlsplit(url)
    if parts.scheme in SOCKS:
        raise ValueError(
            f"needs a SOCKS proxy ({where} {url}), which podbench does not speak: put an HTTP"
            " proxy before it, or forward the API server's port with `ssh -L`"
        )
    if parts.scheme not in USABLE or not parts.hostname:
        raise ValueError(f"has {where} {url!r}, which is no http, https or socks5 URL")
    return url


def _spared(host: str, port: int | None, scheme: str, environment: Mapping[str, str]) -> bool:
    """Whether NO_PROXY, or being this machine, keeps a host off the proxy."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    number = port or {"http": 80, "https": 443}.get(scheme)
    rules = (environment.get("NO_PROXY") or environment.get("no_proxy") or "").split(",")
    return any(_matches(each.strip().lower(), host, number, address) for each in rules)


def _matches(
    rule: str,
    host: str,
    port: int | None,
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None,
) -> bool:
    if rule in ("", "*"):
        return rule == "*"
    try:
        network = ipaddress.ip_network(rule, strict=False)
    except ValueError:
        network = None
    if network is not None:
        return address is not None and address in network
    name, colon, wanted = rule.rpartition(":")
    if colon and wanted.isdigit():
        if int(wanted) != port:
            return False
        rule = name.strip("[]")
    if rule == host:
        return True
    suffix = rule.removeprefix("*")
    return host.endswith(suffix if suffix.startswith(".") else f".{suffix}")

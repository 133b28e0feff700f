"""From a kubeconfig's context to a server and who we are there, by kubectl's rules.

What kubectl refuses is refused here too, before anything is sent, naming context, file and field.
Source: kubernetes/client-go, tools/clientcmd/client_config.go and validation.go, rest/transport.go.
"""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from podbench.model import words
from podbench.model.errors import ConfigError
from podbench.target.kubernetes.api import proxies
from podbench.target.kubernetes.api.kubeconfig import Cluster, Exec, Kubeconfig, User

LISTS = "`kubectl config get-contexts` lists the names"
CLUSTER_EXTENSION = "client.authentication.k8s.io/exec"
REMOVED = {
    "gcp": "install gke-gcloud-auth-plugin and run `gcloud container clusters get-credentials`",
    "azure": "run `kubelogin convert-kubeconfig`",
}
"""kubectl has these no more since 1.26, and says the same."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is reached, and as whom. Paths are absolute; data wins over files."""

    context: str
    server: str
    tls_server_name: str | None = None
    insecure: bool = False
    ca_file: str | None = None
    ca_data: bytes | None = None
    proxy: str | None = None
    cert_file: str | None = None
    cert_data: bytes | None = None
    key_file: str | None = None
    key_data: bytes | None = None
    token: str | None = None
    token_file: str | None = None
    basic: tuple[str, str] | None = None
    exec: Exec | None = None
    exec_cluster: Mapping[str, Any] | None = None
    """What `provideClusterInfo` asks for."""
    oidc: Mapping[str, str] | None = None
    impersonate: tuple[tuple[str, str], ...] = ()
    """Headers of every request."""


def resolve(config: Kubeconfig, asked: str | None) -> Access:
    """The access of a context; null: the current one.

    Raises:
        ConfigError: The context, its cluster or its user cannot be used; says which and why.
    """
    name = asked if asked is not None else config.current
    if not name:
        raise ConfigError(
            f"kubeconfig {config.asked} names no current context",
            advice=f"name one with --context, or `kubectl config use-context NAME`; {LISTS}",
        )
    if asked is not None:
        words.check(asked, list(config.contexts), "--context")
    context = config.contexts.get(name)
    if context is None:
        raise ConfigError(
            f"kubeconfig {config.asked}: its current context {name} is not among its contexts",
            advice=f"name one with --context; {LISTS}",
        )
    cluster = config.clusters.get(context.cluster or "")
    if cluster is None:
        raise _refused(config, name, _missing("cluster", context.cluster))
    server = _server(config, name, cluster)
    user = config.users.get(context.user or "")
    if user is None and server.startswith("https:"):
        raise _refused(config, name, _missing("user", context.user))
    return _access(config, name, server, cluster, user or User())


def _missing(what: str, name: str | None) -> str:
    return f"names {what} {name}, which is not there" if name else f"has no {what}"


def _refused(config: Kubeconfig, context: str, why: str) -> ConfigError:
    return ConfigError(
        f"kubeconfig {config.asked}: context {context} {why}",
        advice="`kubectl config view` shows all three lists; `kubectl config set-context` mends it",
    )


def _server(config: Kubeconfig, context: str, cluster: Cluster) -> str:
    """With its path, as Rancher's has one, without query; a bare host is plain HTTP to kubectl."""
    text = cluster.server or ""
    if not text:
        raise _refused(config, context, "leads to a cluster without a server")
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise _refused(config, context, f"has the server {text!r}, which is no http or https URL")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def _access(config: Kubeconfig, name: str, server: str, cluster: Cluster, user: User) -> Access:
    def refused(why: str) -> ConfigError:
        return _refused(config, name, why)

    try:
        proxy = proxies.choose(cluster.proxy_url, server, os.environ)
    except ValueError as error:
        raise refused(str(error)) from None
    ca = _pair(
        refused,
        "certificate-authority",
        cluster.certificate_authority,
        cluster.certificate_authority_data,
        cluster.origin,
    )
    if cluster.insecure_skip_tls_verify and any(ca):
        raise refused("has both insecure-skip-tls-verify and a certificate-authority")
    secure = server.startswith("https:")
    # kubectl gives credentials to nobody over plain HTTP; what is on this machine may have them.
    known = user if secure or _loopback(server) else User()
    _require_one(refused, known)
    cert = _pair(
        refused,
        "client-certificate",
        known.client_certificate,
        known.client_certificate_data,
        user.origin,
    )
    key = _pair(refused, "client-key", known.client_key, known.client_key_data, user.origin)
    if any(cert) and not any(key):
        raise refused("has a client-certificate and no client-key")
    plugin = _plugin(refused, known, user.origin)
    return Access(
        context=name,
        server=server,
        tls_server_name=cluster.tls_server_name or None,
        insecure=bool(cluster.insecure_skip_tls_verify),
        ca_file=ca[0],
        ca_data=ca[1],
        proxy=proxy,
        cert_file=cert[0],
        cert_data=cert[1],
        key_file=key[0],
        key_data=key[1],
        token=_token(refused, known),
        token_file=_absolute(known.token_file, user.origin),
        basic=(known.username or "", known.password or "")
        if known.username or known.password
        else None,
        exec=plugin,
        exec_cluster=_exec_cluster(server, cluster, ca) if plugin is not None else None,
        oidc=_oidc(refused, known),
        impersonate=_impersonate(refused, user),
    )


def _loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _require_one(refused: Any, user: User) -> None:
    if user.token and (user.username or user.password):
        raise refused("has a token and a username: one way to log in is allowed")
    if user.exec is not None and user.auth_provider is not None:
        raise refused("has both an exec plugin and an auth-provider")


def _token(refused: Any, user: User) -> str | None:
    if user.token and any(mark.isspace() or not mark.isprintable() for mark in user.token):
        raise refused("has a token with white space in it, which no header can carry")
    return user.token or None


def _absolute(path: str | None, origin: str) -> str | None:
    """A relative path is meant from its own file's folder."""
    return os.path.normpath(Path(origin).absolute().parent / path) if path else None


def _pair(
    refused: Any, field: str, path: str | None, data: bytes | None, origin: str
) -> tuple[str | None, bytes | None]:
    """A file or its content, whichever is given."""
    if path and data:
        raise refused(f"has both {field} and {field}-data")
    full = _absolute(path, origin)
    if full is not None:
        try:
            Path(full).open("rb").close()
        except OSError as error:
            raise refused(f"names {field} {full}: {error.strerror or error}") from error
    return full, data or None


def _plugin(refused: Any, user: User, origin: str) -> Exec | None:
    asked = user.exec
    if asked is None:
        return None
    if not asked.command or not asked.api_version:
        missing = "command" if not asked.command else "apiVersion"
        raise refused(f"has an exec plugin without {missing}")
    if asked.interactive_mode not in ("", "Never", "IfAvailable", "Always"):
        raise refused(f"has an exec plugin with interactiveMode {asked.interactive_mode!r}")
    if any(not each.name for each in asked.env or ()):
        raise refused("has an exec plugin with a variable without a name")
    if "/" not in asked.command:
        # Found on PATH.
        return asked
    return msgspec.structs.replace(asked, command=_absolute(asked.command, origin))


def _exec_cluster(
    server: str, cluster: Cluster, ca: tuple[str | None, bytes | None]
) -> Mapping[str, Any]:
    data = ca[1] if ca[0] is None else Path(ca[0]).read_bytes()
    given = next(
        (
            each.get("extension")
            for each in cluster.extensions or ()
            if each.get("name") == CLUSTER_EXTENSION
        ),
        None,
    )
    told: dict[str, Any] = {
        "server": server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": data,
        "proxy-url": cluster.proxy_url,
        "config": given,
    }
    return {name: value for name, value in told.items() if value}


def _oidc(refused: Any, user: User) -> Mapping[str, str] | None:
    asked = user.auth_provider
    if asked is None:
        return None
    if asked.name != "oidc":
        raise ConfigError(
            f"{refused(f'has the auth-provider {asked.name}, which kubectl has no more')}",
            advice=REMOVED.get(asked.name, "use an exec plugin, as kubectl needs it too"),
        )
    return asked.config or {}


def _impersonate(refused: Any, user: User) -> tuple[tuple[str, str], ...]:
    """Whom every request is to be made as; kubectl sends it over plain HTTP too."""
    more = user.impersonate_uid or user.impersonate_groups or user.impersonate_extra
    if more and not user.impersonate:
        raise refused("has as-uid, as-groups or as-user-extra, and no `as`")
    if not user.impersonate:
        return ()
    found = [("Impersonate-User", user.impersonate)]
    if user.impersonate_uid:
        found.append(("Impersonate-Uid", user.impersonate_uid))
    found += [("Impersonate-Group", each) for each in user.impersonate_groups or ()]
    for key, values in (user.impersonate_extra or {}).items():
        found += [(f"Impersonate-Extra-{_escaped(key)}", each) for each in values]
    return tuple(found)


def _escaped(key: str) -> str:
    """A header's name: what HTTP does not allow in one, and `%`, in percent codes."""
    legal = "!#$&'*+-.^_`|~"
    return "".join(
        mark if mark.isascii() and (mark.isalnum() or mark in legal) else _percent(mark)
        for mark in key
    )


def _percent(mark: str) -> str:
    return "".join(f"%{octet:02X}" for octet in mark.encode())

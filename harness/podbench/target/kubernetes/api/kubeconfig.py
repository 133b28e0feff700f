"""Kubeconfig files as kubectl reads them: which files, what wins, which paths are meant.

The official Python client reads them otherwise (its last file's current context wins, it knows no
impersonation, tokens keep their newline), and could lead to another cluster than kubectl does.
Source: kubernetes/client-go, tools/clientcmd/loader.go and api/v1/conversion.go. A test holds this
against a real kubectl, row by row. `access` turns a context into a server and credentials.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from podbench.model.errors import ConfigError

ENVIRONMENT = "KUBECONFIG"
API_VERSIONS = ("", "v1")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
WAY_OUT = "`kubectl config view --raw` reads the same files and names the same fault"


class Cluster(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """One server."""

    server: str | None = None
    tls_server_name: str | None = None
    insecure_skip_tls_verify: bool | None = None
    certificate_authority: str | None = None
    certificate_authority_data: bytes | None = None
    proxy_url: str | None = None
    extensions: list[Mapping[str, Any]] | None = None
    origin: str = msgspec.field(default="", name="podbench-origin")


class Variable(msgspec.Struct, frozen=True):
    """One of a plugin's environment variables."""

    name: str = ""
    value: str = ""


class Exec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A credential plugin."""

    command: str = ""
    args: list[str] | None = None
    env: list[Variable] | None = None
    api_version: str = ""
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""


class AuthProvider(msgspec.Struct, frozen=True):
    """kubectl's older plugins; only `oidc` is left."""

    name: str = ""
    config: dict[str, str] | None = None


class User(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """One user's credentials."""

    client_certificate: str | None = None
    client_certificate_data: bytes | None = None
    client_key: str | None = None
    client_key_data: bytes | None = None
    token: str | None = None
    token_file: str | None = msgspec.field(default=None, name="tokenFile")
    impersonate: str | None = msgspec.field(default=None, name="as")
    impersonate_uid: str | None = msgspec.field(default=None, name="as-uid")
    impersonate_groups: list[str] | None = msgspec.field(default=None, name="as-groups")
    impersonate_extra: dict[str, list[str]] | None = msgspec.field(
        default=None, name="as-user-extra"
    )
    username: str | None = None
    password: str | None = None
    auth_provider: AuthProvider | None = None
    exec: Exec | None = None
    origin: str = msgspec.field(default="", name="podbench-origin")


class Context(msgspec.Struct, frozen=True):
    """A server with a user."""

    cluster: str | None = None
    user: str | None = None


class NamedCluster(msgspec.Struct, frozen=True):
    """As the list has it."""

    name: str = ""
    cluster: Cluster | None = None


class NamedUser(msgspec.Struct, frozen=True):
    """As the list has it."""

    name: str = ""
    user: User | None = None


class NamedContext(msgspec.Struct, frozen=True):
    """As the list has it."""

    name: str = ""
    context: Context | None = None


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file; fields that kubectl does not know are passed over, as it does."""

    kind: str | None = None
    api_version: str | None = msgspec.field(default=None, name="apiVersion")
    current_context: str | None = msgspec.field(default=None, name="current-context")
    clusters: list[NamedCluster] | None = None
    users: list[NamedUser] | None = None
    contexts: list[NamedContext] | None = None


class Kubeconfig(msgspec.Struct, frozen=True, kw_only=True):
    """All files merged. `files` are those that exist; `asked` how they were named."""

    asked: str
    files: tuple[str, ...]
    current: str
    clusters: dict[str, Cluster]
    users: dict[str, User]
    contexts: dict[str, Context]

    @property
    def empty(self) -> bool:
        """Whether nothing is in it; kubectl in a pod then takes the pod's service account."""
        return not (self.current or self.clusters or self.users or self.contexts)


def load(explicit: str | None = None) -> Kubeconfig:
    """The files merged: the first that sets a value wins, missing and empty ones say nothing.

    Args:
        explicit: `--kubeconfig`: that file alone, which must exist.

    Raises:
        ConfigError: A file cannot be read or is none; names it, the line and the field.
    """
    names = [explicit] if explicit else _listed()
    found: dict[str, File] = {}
    for name in names:
        try:
            found[name] = parse(Path(name).read_bytes(), name)
        except FileNotFoundError:
            if explicit:
                raise ConfigError(
                    f"--kubeconfig: there is no file {name}",
                    advice="name the file that `kubectl --kubeconfig` takes",
                ) from None
        except OSError as error:
            raise ConfigError(
                f"kubeconfig {name} cannot be read: {error.strerror or error}", advice=WAY_OUT
            ) from error
    return _merged(found, os.pathsep.join(names))


def _listed() -> list[str]:
    """KUBECONFIG's files, each once; without it the one in the home directory. `~` is no path."""
    named = os.environ.get(ENVIRONMENT) or str(Path.home() / ".kube" / "config")
    return [each for each in dict.fromkeys(named.split(os.pathsep)) if each]


def _merged(found: Mapping[str, File], asked: str) -> Kubeconfig:
    clusters: dict[str, Cluster] = {}
    users: dict[str, User] = {}
    contexts: dict[str, Context] = {}
    current = ""
    for name, file in found.items():
        current = current or (file.current_context or "")
        for cluster in file.clusters or ():
            made = msgspec.structs.replace(cluster.cluster or Cluster(), origin=name)
            clusters.setdefault(cluster.name, made)
        for user in file.users or ():
            known = msgspec.structs.replace(user.user or User(), origin=name)
            users.setdefault(user.name, known)
        for context in file.contexts or ():
            contexts.setdefault(context.name, context.context or Context())
    return Kubeconfig(
        asked=asked,
        files=tuple(found),
        current=current,
        clusters=clusters,
        users=users,
        contexts=contexts,
    )


def parse(data: bytes, name: str) -> File:
    """Reads one file's content.

    Raises:
        ConfigError: It is no kubeconfig; names the line and the field.
    """
    if not data.strip():
        return File()
    tree, lines = _tree(data, name)
    if tree is None:
        return File()
    try:
        file = msgspec.convert(_set(tree), File, strict=True)
    except msgspec.ValidationError as error:
        raise _ill_typed(error, name, lines) from None
    if file.kind not in (None, "", "Config") or (file.api_version or "") not in API_VERSIONS:
        said = f"{file.api_version or ''} {file.kind or ''}".strip()
        raise ConfigError(
            f"kubeconfig {name} is {said}, not a Config of version v1", advice=WAY_OUT
        )
    for kind in ("clusters", "users", "contexts"):
        _require_once([each.name for each in getattr(file, kind) or ()], kind, name)
    return file


def _set(tree: Any) -> Any:
    """Without what is null, which is as good as not set; base64 may be broken into lines."""
    if isinstance(tree, dict):
        return {
            str(key): "".join(value.split())
            if isinstance(value, str) and str(key).endswith("-data")
            else _set(value)
            for key, value in tree.items()
            if value is not None
        }
    return [_set(each) for each in tree] if isinstance(tree, list) else tree


def _require_once(names: list[str], kind: str, file: str) -> None:
    twice = next((each for each in names if names.count(each) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"kubeconfig {file}: {kind} has {twice!r} twice", advice="remove one of the two"
        )


class _Loader(yaml.SafeLoader):
    """YAML as kubectl reads it: what looks like a date stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _tree(data: bytes, name: str) -> tuple[Any, yaml.Node | None]:
    """The first document, and its nodes for the places of faults."""
    encoding = "utf-16" if data.startswith(UTF16) else "utf-8-sig"
    try:
        text = data.decode(encoding)
        if text.lstrip().startswith("{"):
            # JSON may be indented with tabs, which YAML may not.
            try:
                return json.loads(text), None
            except ValueError:
                pass
        loader = _Loader(text)
        try:
            node = loader.get_node() if loader.check_node() else None
            return (None if node is None else loader.construct_document(node)), node
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise ConfigError(f"kubeconfig {name} is not UTF-8: {error}", advice=WAY_OUT) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise ConfigError(f"kubeconfig {name}{place}: no YAML: {problem}", advice=WAY_OUT) from None
    except (ValueError, RecursionError) as error:
        # A date or a number that cannot be, or nesting without end.
        raise ConfigError(f"kubeconfig {name}: no YAML: {error}", advice=WAY_OUT) from None


def _ill_typed(error: msgspec.ValidationError, name: str, root: yaml.Node | None) -> ConfigError:
    """`kubeconfig F, line 4, clusters[0].cluster.server: expected str, got int`."""
    what, _, where = str(error).partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    line = _line(root, path)
    place = f", line {line}" if line is not None else ""
    field = path or "the whole file"
    said = what.replace("Expected", "expected").replace("`", "")
    if said.startswith("Invalid base64"):
        said = "no base64"
    return ConfigError(f"kubeconfig {name}{place}, {field}: {said}", advice=WAY_OUT)


def _line(node: yaml.Node | None, path: str) -> int | None:
    """Where a field stands, or the last part of its path that does."""
    if node is None:
        return None
    for step in re.findall(r"[^.\[\]]+", path):
        below = None
        if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            below = node.value[int(step)]
        elif isinstance(node, yaml.MappingNode):
            below = next((value for key, value in node.value if key.value == step), None)
        if below is None:
            break
        node = below
    return int(node.start_mark.line) + 1

"""Credential plugins: a program that prints an `ExecCredential`, run as kubectl runs it.

Source: kubernetes/client-go, plugin/pkg/client/auth/exec/exec.go.
"""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from podbench.model.errors import ConfigError
from podbench.target.kubernetes.api.kubeconfig import Exec

API = "client.authentication.k8s.io"


class Given(msgspec.Struct, frozen=True):
    """What a plugin gave: a token, a certificate with its key, or both."""

    token: str | None
    certificate: str | None
    key: str | None


async def run(asked: Exec, cluster: Mapping[str, Any] | None, context: str) -> Given:
    """Runs a plugin; what it says on stderr is shown as it says it.

    Raises:
        ConfigError: It is not there, fails, or gives no credentials.
    """
    interactive = asked.interactive_mode != "Never" and sys.stdin is not None
    interactive = interactive and sys.stdin.isatty()
    if asked.interactive_mode == "Always" and not interactive:
        raise _failed(
            context, asked, "wants a terminal (interactiveMode Always), and there is none"
        )
    spec: dict[str, Any] = {"interactive": interactive}
    if asked.provide_cluster_info and cluster is not None:
        spec["cluster"] = _encoded(cluster)
    question = {"apiVersion": asked.api_version, "kind": "ExecCredential", "spec": spec}
    environment = {
        **os.environ,
        **{each.name: each.value for each in asked.env or ()},
        "KUBERNETES_EXEC_INFO": json.dumps(question),
    }
    try:
        process = await asyncio.create_subprocess_exec(
            asked.command,
            *(asked.args or ()),
            env=environment,
            stdin=None if interactive else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    except OSError as error:
        why = f"gave no credentials: it cannot be run: {error.strerror or error}"
        raise _failed(context, asked, why, asked.install_hint) from error
    if process.returncode:
        raise _failed(context, asked, f"gave no credentials (it ended with {process.returncode})")
    return _read(output, asked, context)


def _encoded(cluster: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in cluster.items()
    }


def _read(output: bytes, asked: Exec, context: str) -> Given:
    try:
        answer = json.loads(output)
        status = answer["status"]
        version = answer["apiVersion"]
        given = Given(
            _text(status, "token"),
            _text(status, "clientCertificateData"),
            _text(status, "clientKeyData"),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _failed(
            context, asked, f"printed no ExecCredential with a status: {error}"
        ) from error
    if version != asked.api_version:
        why = f"answers in {version}, the kubeconfig asks for {asked.api_version}"
        raise _failed(context, asked, why)
    if bool(given.certificate) != bool(given.key):
        raise _failed(context, asked, "gave a certificate without its key, or a key without it")
    if not (given.token or given.certificate):
        raise _failed(context, asked, "gave no credentials: neither token nor certificate")
    return given


def _text(status: Any, field: str) -> str | None:
    value = status.get(field) if isinstance(status, dict) else None
    return str(value) if value else None


def _failed(context: str, asked: Exec, why: str, hint: str = "") -> ConfigError:
    return ConfigError(
        f"context {context}: its credential plugin {asked.command} {why}",
        advice=hint
        or "what it said is above; `kubectl get nodes` runs it too: log in with it first",
    )

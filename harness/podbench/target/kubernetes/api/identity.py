"""Who we are to an API server: kubeconfig contexts, credential plugins, a pod's service account.

The official client reads them; here its errors are translated, and credentials that ran out are
read anew, once for however many requests were refused meanwhile. `client` is the only user.
"""

import asyncio
import os
from pathlib import Path

from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.kube_config import KubeConfigMerger

from podbench.model import words
from podbench.model.errors import ConfigError

IN_CLUSTER = "in-cluster"
LISTS = "`kubectl config get-contexts` lists the names; KUBECONFIG says where"


class Identity:
    """One user's credentials for one server. `context` null: the kubeconfig's current one."""

    def __init__(self, context: str | None) -> None:
        self._asked = context
        self._turn = asyncio.Lock()
        self.configuration = _blank()
        self.readings = 0
        """How often they were read: who was refused compares it with what it was before."""

    async def read(self) -> str:
        """Reads them; returns the context's name, which they are of from then on.

        Raises:
            ConfigError: There is no usable kubeconfig, no such context, or a plugin that fails.
        """
        self.readings += 1
        self._asked = await self._read()
        return self._asked

    async def _read(self) -> str:
        if self._asked in (None, IN_CLUSTER) and _inside_a_pod(named=self._asked is not None):
            return self._service_account()
        files = _kubeconfigs()
        try:
            known = [
                node.value["name"] for node in KubeConfigMerger(files).config["contexts"].value
            ]
            if self._asked is not None:
                words.check(self._asked, known, "--context")
            loader = await config.load_kube_config(
                config_file=files,
                context=self._asked,
                client_configuration=self.configuration,
                persist_config=False,
            )
        except (ConfigException, OSError, TypeError, KeyError, ValueError) as error:
            raise ConfigError(f"--context: no usable kubeconfig: {error}", advice=LISTS) from error
        name = str(loader.current_context["name"])
        _require_credentials(loader, name)
        return name

    def _service_account(self) -> str:
        try:
            config.load_incluster_config(client_configuration=self.configuration)
        except (ConfigException, OSError) as error:
            raise ConfigError(
                f"in this pod there are no credentials for its cluster: {error}",
                advice="give it a service account with podbench's roles and let its token be"
                " mounted, or set KUBECONFIG",
            ) from error
        return IN_CLUSTER

    async def renew(self, before: int) -> None:
        """Reads them anew, unless somebody has since `before` (`readings`).

        Only ever for the context and the server that they were read for first: a kubeconfig's
        current context may be another cluster's by now, and none of its credentials are for this.

        Raises:
            ConfigError: As `read`; or the context leads to another server now. What was read first
                stays in use then.
        """
        async with self._turn:
            if self.readings != before:
                return
            held, self.configuration = self.configuration, _blank()
            try:
                _require_same(await self.read(), held.host, self.configuration.host)
            except BaseException:
                self.configuration = held
                raise

    async def headers(self) -> dict[str, str]:
        """What every request carries."""
        token = (await self.configuration.auth_settings()).get("BearerToken")
        known = {"Accept": "application/json", "User-Agent": "podbench"}
        secret = None if token is None else token["value"]
        return known if secret is None else {**known, "Authorization": secret}


def _require_same(context: str, before: str, now: str) -> None:
    if now != before:
        raise ConfigError(
            f"context {context} leads to {now} now, not to {before}",
            advice="set the kubeconfig back: nothing is sent to another server",
        )


def _blank() -> Configuration:
    made = Configuration()
    # Ours are the retries: the client's know nothing of what may be repeated.
    made.retries = 0
    return made


def _require_credentials(loader: config.kube_config.KubeConfigLoader, name: str) -> None:
    """The client passes over a plugin that fails, and would go on as nobody.

    Raises:
        ConfigError: It did.
    """
    user = loader._user  # noqa: SLF001 - the client tells it nowhere else
    given = vars(loader).keys() & {"token", "cert_file"}
    if user is not None and "exec" in user and not given:
        command = user["exec"].safe_get("command")
        raise ConfigError(
            f"--context {name}: its credential plugin {command} gave no credentials",
            advice="what it said is above; `kubectl get nodes` runs it too: log in with it first",
        )


def _contexts(files: str) -> list[str]:
    """The names of all contexts."""
    return [str(node.value["name"]) for node in KubeConfigMerger(files).config["contexts"].value]


def _inside_a_pod(*, named: bool) -> bool:
    """As kubectl decides it: a kubeconfig comes first, unless `in-cluster` is named."""
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return False
    return named or not (os.environ.get("KUBECONFIG") or _home().is_file())


def _home() -> Path:
    return Path.home() / ".kube" / "config"


def _kubeconfigs() -> str:
    """The files kubectl would use, as KUBECONFIG lists them.

    Raises:
        ConfigError: None of them exists.
    """
    files = os.environ.get("KUBECONFIG") or str(_home())
    if any(Path(each).expanduser().is_file() for each in files.split(":") if each):
        return files
    raise ConfigError(
        f"there is no kubeconfig at {files}",
        advice="set KUBECONFIG to the file that kubectl uses",
    )

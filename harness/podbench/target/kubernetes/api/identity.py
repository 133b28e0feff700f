"""Who we are to an API server: a kubeconfig's context, a credential plugin, a pod's own account.

`kubeconfig` and `access` read the files by kubectl's rules; here they become the client's
configuration. Credentials that ran out are read again, once for however many requests were refused
meanwhile. `client` is the only user.
"""

import asyncio
import base64
import os
import ssl
import tempfile
import time
from pathlib import Path

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.config_exception import ConfigException
from multidict import CIMultiDict

from podbench.model.errors import ConfigError
from podbench.target.kubernetes.api import plugin
from podbench.target.kubernetes.api.access import Access, resolve
from podbench.target.kubernetes.api.kubeconfig import ENVIRONMENT, Kubeconfig, load
from podbench.target.kubernetes.api.plugin import Given

IN_CLUSTER = "in-cluster"
TOKEN_FILE_S = 60.0
"""kubectl reads a token's file again after this long."""


class Identity:
    """One user's credentials for one server.

    Args:
        context: The kubeconfig's context; null: its current one.
        kubeconfig: The file to read instead of KUBECONFIG's.
    """

    def __init__(self, context: str | None, kubeconfig: str | None = None) -> None:
        self._asked = context
        self._kubeconfig = kubeconfig
        self._turn = asyncio.Lock()
        self._access: Access | None = None
        self._files: tempfile.TemporaryDirectory[str] | None = None
        self._file_token: tuple[float, str] | None = None
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
        inside = "KUBERNETES_SERVICE_HOST" in os.environ
        if inside and self._asked == IN_CLUSTER:
            return self._service_account()
        found = load(self._kubeconfig)
        if found.empty and inside and self._kubeconfig is None:
            return self._service_account()
        if found.empty:
            raise _nothing(found)
        access = resolve(found, self._asked)
        given = None
        if access.exec is not None and access.token is None and access.token_file is None:
            given = await plugin.run(access.exec, access.exec_cluster, access.context)
        self._access, self._file_token = access, None
        await self._configure(access, given)
        return access.context

    def _service_account(self) -> str:
        self._access = None
        try:
            config.load_incluster_config(client_configuration=self.configuration)
        except (ConfigException, OSError) as error:
            raise ConfigError(
                f"in this pod there are no credentials for its cluster: {error}",
                advice="give it a service account with podbench's roles and mount its token,"
                " or set KUBECONFIG",
            ) from error
        return IN_CLUSTER

    async def _configure(self, access: Access, given: Given | None) -> None:
        """What the client needs to know; a plugin's certificate takes the place of the file's."""
        made = self.configuration
        made.host = access.server
        made.verify_ssl = not access.insecure
        made.tls_server_name = access.tls_server_name
        made.proxy = access.proxy
        made.ssl_ca_cert = self._file("certificate-authority", access.ca_file, access.ca_data)
        cert = None if given is None or given.certificate is None else given.certificate.encode()
        key = None if given is None or given.key is None else given.key.encode()
        made.cert_file = self._file(
            "client-certificate", access.cert_file, cert or access.cert_data
        )
        made.key_file = self._file("client-key", access.key_file, key or access.key_data)
        token = access.token or (None if given is None else given.token)
        if token is not None:
            made.api_key["BearerToken"] = f"Bearer {token}"
        elif access.basic is not None:
            pair = base64.b64encode(":".join(access.basic).encode()).decode()
            made.api_key["BearerToken"] = f"Basic {pair}"
        elif access.oidc is not None:
            await self._log_in(access)

    def _file(self, name: str, path: str | None, data: bytes | None) -> str | None:
        """A file with this content, for a TLS library that reads nothing else."""
        if data is None:
            return path
        if self._files is None:
            self._files = tempfile.TemporaryDirectory(prefix="podbench-")
        made = Path(self._files.name, f"{self.readings}-{name}")
        made.touch(mode=0o600)
        made.write_bytes(data)
        return str(made)

    async def _log_in(self, access: Access) -> None:
        """By OpenID Connect, as the official client does it."""
        user = {"auth-provider": {"name": "oidc", "config": dict(access.oidc or {})}}
        content = {
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": access.server}}],
            "users": [{"name": "c", "user": user}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        }
        got = Configuration()
        try:
            await config.load_kube_config_from_dict(content, client_configuration=got)
        except (ConfigException, OSError, TypeError, KeyError, ValueError) as error:
            raise ConfigError(
                f"context {access.context}: its auth-provider oidc gave no token: {error}",
                advice="`kubectl get nodes` needs it too: log in with it first",
            ) from error
        self.configuration.api_key["BearerToken"] = got.api_key["BearerToken"]

    def connected(self) -> ApiClient:
        """A client with these credentials.

        Raises:
            ConfigError: The certificates that they name are none.
        """
        try:
            return ApiClient(configuration=self.configuration)
        except (ssl.SSLError, OSError, ValueError) as error:
            made = self.configuration
            named = ", ".join(
                self._field(each) for each in (made.ssl_ca_cert, made.cert_file) if each
            )
            raise ConfigError(
                f"context {self._asked}: its certificates cannot be used ({named}): {error}",
                advice="`kubectl get nodes` reads them too; log in again, or mend the kubeconfig",
            ) from error

    def _field(self, path: str) -> str:
        """What a certificate's file is to a user: its path, or the field that holds its content."""
        inside = self._files is not None and path.startswith(self._files.name)
        return f"{Path(path).name.partition('-')[2]}-data" if inside else path

    def close(self) -> None:
        """Removes the files that held certificates."""
        if self._files is not None:
            self._files.cleanup()
            self._files = None

    async def renew(self, before: int) -> None:
        """Reads them again, unless somebody has since `before` (`readings`).

        Only ever for the context and the server that they were read for first: a kubeconfig's
        current context may be another cluster's by now, and none of its credentials are for this.

        Raises:
            ConfigError: As `read`; or the context leads to another server now. What was read first
                stays in use then.
        """
        async with self._turn:
            if self.readings != before:
                return
            held = self.configuration, self._access, self._file_token
            self.configuration = _blank()
            try:
                _require_same(await self.read(), held[0].host, self.configuration.host)
            except BaseException:
                self.configuration, self._access, self._file_token = held
                raise

    async def headers(self) -> CIMultiDict[str]:
        """What every request carries.

        Raises:
            ConfigError: The token's file cannot be read, and there is no other token.
        """
        known = CIMultiDict({"Accept": "application/json", "User-Agent": "podbench"})
        if (secret := await self._secret()) is not None:
            known["Authorization"] = secret
        for name, value in self._access.impersonate if self._access is not None else ():
            known.add(name, value)
        return known

    async def _secret(self) -> str | None:
        if self._access is not None and self._access.token_file is not None:
            token = self._token_of(self._access.token_file)
            if token is not None:
                return f"Bearer {token}"
        known = (await self.configuration.auth_settings()).get("BearerToken")
        return None if known is None else str(known["value"])

    def _token_of(self, path: str) -> str | None:
        """A token's file without its newline, read again now and then; null: take the other."""
        now = time.monotonic()
        if self._file_token is not None and now - self._file_token[0] < TOKEN_FILE_S:
            return self._file_token[1]
        try:
            token = Path(path).read_text("utf-8").strip()
            why = "" if token and token.isprintable() and " " not in token else "holds no token"
        except (OSError, UnicodeDecodeError) as error:
            token, why = "", f"cannot be read: {getattr(error, 'strerror', None) or error}"
        if not why:
            self._file_token = now, token
            return token
        if self._file_token is not None:
            return self._file_token[1]
        if "BearerToken" in self.configuration.api_key:
            return None
        raise ConfigError(
            f"context {self._asked}: tokenFile {path} {why}",
            advice="whatever writes it has to write a token; `kubectl get nodes` reads it too",
        )


def _nothing(found: Kubeconfig) -> ConfigError:
    if not found.files:
        return ConfigError(
            f"there is no kubeconfig at {found.asked}",
            advice="set KUBECONFIG to the file that kubectl uses, or name it with --kubeconfig",
        )
    return ConfigError(
        f"kubeconfig {':'.join(found.files)} is empty: no clusters, users or contexts",
        advice=f"set {ENVIRONMENT} to the file that kubectl uses, or name it with --kubeconfig",
    )


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
    # Proxies are `access`'s matter, and a .netrc's password is for nobody here.
    made.client_session_kwargs = {"trust_env": False}
    # Go's TLS takes authorities without key identifiers; many clusters' are older than that rule.
    made.disable_strict_ssl_verification = True
    return made

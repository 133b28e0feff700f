"""Makes a run's secrets: passwords, the key of STAMP, a certificate for the broker.

The certificate is its own authority: agents and orchestrator trust this one and no other, so that
no authority of the cluster's is needed and nothing outlives the run.
"""

import asyncio
import secrets
import shutil
from asyncio.subprocess import PIPE
from collections.abc import Iterable

from podbench.model.errors import ClusterError, PrerequisiteError
from podbench.target.kubernetes.deploy.other_broker import Access
from podbench.target.kubernetes.deploy.settings import ORCHESTRATOR, Credentials

DAYS = 30
"""Longer than any run; an abandoned one's certificate is of no use to anybody anyway."""
KEY_BEGINS = "-----BEGIN PRIVATE KEY-----"
CERTIFICATE_BEGINS = "-----BEGIN CERTIFICATE-----"


async def make(names: Iterable[str], broker_address: str) -> Credentials:
    """Credentials for these agents and the orchestrator.

    Raises:
        PrerequisiteError: openssl is not installed.
        ClusterError: It makes no certificate.
    """
    certificate, key = await _certificate(broker_address)
    return Credentials(
        passwords={name: secrets.token_urlsafe(24) for name in (*names, ORCHESTRATOR)},
        hmac_key=secrets.token_hex(32),
        salt=secrets.token_bytes(12),
        ca=certificate,
        certificate=certificate,
        key=key,
    )


def shared(names: Iterable[str], access: Access) -> Credentials:
    """Credentials for these agents at somebody else's broker: one account for all."""
    known = access.endpoint.credentials
    assert known.password is not None
    return Credentials(
        passwords=dict.fromkeys((*names, ORCHESTRATOR), known.password),
        hmac_key=secrets.token_hex(32),
        salt=secrets.token_bytes(12),
        ca=known.ca,
    )


async def _certificate(address: str) -> tuple[str, str]:
    if shutil.which("openssl") is None:
        raise PrerequisiteError("openssl is not installed", advice="sudo apt-get install openssl")
    process = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-nodes", "-keyout", "-", "-out", "-", "-days", str(DAYS), "-subj", "/CN=podbench"),
        *("-addext", f"subjectAltName=IP:{address},IP:127.0.0.1"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, told = await process.communicate()
    text = out.decode()
    key, begins, certificate = text.partition(CERTIFICATE_BEGINS)
    if process.returncode or not begins or KEY_BEGINS not in key:
        raise ClusterError(f"openssl made no certificate: {told.decode().strip()[-200:]}")
    return begins + certificate, key[key.index(KEY_BEGINS) :]

"""Secrets that pull the agents' image: copied into the run's own namespaces, and gone with them.

A pod may name Secrets of its own namespace only, and the run's are made for it. Only these Secrets
are read, and only where one was named.
"""

from collections.abc import Iterable, Sequence

from podbench.model.errors import ConfigError
from podbench.target.kubernetes.api.client import Api, ApiError
from podbench.target.kubernetes.api.refs import Object, Ref
from podbench.target.kubernetes.deploy import ledger

USUAL = "default"
"""The namespace of a Secret that is named without one."""
TYPES = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")


def named(asked: Iterable[str]) -> tuple[str, ...]:
    """`NAMESPACE/NAME` of each.

    Raises:
        ConfigError: One is no name.
    """
    found = []
    for text in asked:
        space, slash, name = text.rpartition("/")
        if not name or "/" in space or (slash and not space):
            raise ConfigError(
                f"--image-pull-secret: {text!r} is no name", advice="write NAME or NAMESPACE/NAME"
            )
        found.append(f"{space or USUAL}/{name}")
    return tuple(found)


def names(asked: Sequence[str]) -> tuple[str, ...]:
    """What pods call them."""
    return tuple(each.partition("/")[2] for each in asked)


async def require(api: Api, asked: Sequence[str]) -> None:
    """Sees that each can be read and is one.

    Raises:
        ConfigError: It is not there, may not be read, or pulls nothing.
    """
    for each in asked:
        await _read(api, each)


async def copies(
    api: Api, asked: Sequence[str], spaces: Sequence[str], run_id: str
) -> list[Object]:
    """The Secrets as the run makes them in its namespaces.

    Raises:
        ConfigError: As `require`.
    """
    made = []
    for each in asked:
        found = await _read(api, each)
        for space in spaces:
            meta = {
                "name": found["metadata"]["name"],
                "namespace": space,
                "labels": ledger.labels(run_id),
            }
            body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": found["type"]}
            made.append({**body, "data": found["data"]})
    return made


async def _read(api: Api, asked: str) -> Object:
    space, _, name = asked.partition("/")
    try:
        found = await api.find(Ref("Secret", name, space).path)
    except ApiError as error:
        if error.status != 403:
            raise
        raise ConfigError(
            f"--image-pull-secret: Secret {asked} may not be read: {error}",
            advice=f"an administrator grants `get` on that Secret in namespace {space}",
        ) from error
    if found is None:
        raise ConfigError(
            f"--image-pull-secret: there is no Secret {asked}",
            advice=f"`kubectl get secrets -n {space}` lists them",
        )
    if found.get("type") not in TYPES:
        raise ConfigError(
            f"--image-pull-secret: Secret {asked} is of type {found.get('type')}",
            advice="`kubectl create secret docker-registry` makes one that pulls images",
        )
    return found

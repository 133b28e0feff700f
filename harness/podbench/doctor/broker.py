"""Whether another broker (`--broker`) can be reached from here and lets bench in."""

import asyncio
from collections.abc import Mapping

from podbench.doctor.checks import Check, Need
from podbench.model.errors import PodbenchError
from podbench.target.kubernetes.deploy import other_broker
from podbench.transport.endpoint import Endpoint
from podbench.transport.mqtt import MqttFleet


def broker(url: str, environment: Mapping[str, str]) -> Check:
    """Whether another broker lets bench in, by a session of its own."""
    try:
        endpoint = other_broker.access(url, environment).endpoint
        asyncio.run(_greet(endpoint))
        ok, found, advice = True, f"{endpoint} lets {endpoint.credentials.username} in", None
    except PodbenchError as error:
        ok, found, advice = False, str(error), error.advice
    return Check(
        name="broker",
        ok=ok,
        found=found,
        needed_for="control and results; that nodes reach it too, only a run shows",
        need=Need.RUN,
        advice=advice,
    )


async def _greet(endpoint: Endpoint) -> None:
    async with MqttFleet(endpoint, run_id="doctor"):
        pass

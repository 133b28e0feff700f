"""A deployment's values: names, passwords, the broker's password file."""

import base64
import hashlib

import msgspec
import pytest
from support.chart_settings import CASES, settings

from podbench.target.kubernetes.deploy.settings import (
    ORCHESTRATOR,
    Broker,
    agents,
    component_passwords,
    password_file,
    values,
)


def test_the_password_file_is_what_mosquitto_reads() -> None:
    """`$7$iterations$salt$hash`, PBKDF2 with SHA-512, a line for everybody."""
    case = settings()
    lines = dict(line.split(":") for line in password_file(case).splitlines())
    assert set(lines) == {*agents(case), ORCHESTRATOR}
    for name, line in lines.items():
        _, kind, iterations, salt, digest = line.split("$")
        password = case.credentials.passwords[name].encode()
        expected = hashlib.pbkdf2_hmac("sha512", password, base64.b64decode(salt), int(iterations))
        assert (kind, base64.b64decode(digest)) == ("7", expected)


def test_equal_passwords_do_not_look_equal() -> None:
    """Each name has its own salt, and another run has others."""
    lines = password_file(settings()).splitlines()
    assert len({line.split("$")[3] for line in lines}) == len(lines)


def test_somebody_elses_broker_needs_no_password_file() -> None:
    """Nor is a certificate or a key handed out for it."""
    case = CASES["another broker"]
    assert password_file(case) == ""
    assert set(values(case)["broker"]["tls"]) == {"ca"}


def test_each_set_of_agents_has_its_own_passwords() -> None:
    """By node."""
    case = settings()
    vxlan, host = component_passwords(case, "vxlan"), component_passwords(case, "host")
    assert set(vxlan) == set(host) == set(case.nodes)
    assert not {*vxlan.values()} & {*host.values()}


def test_a_missing_password_is_noticed() -> None:
    """An agent that nobody could let in is not deployed."""
    with pytest.raises(KeyError, match="n3-host"):
        component_passwords(msgspec.structs.replace(settings(), nodes=("n3",)), "host")


@pytest.mark.parametrize(
    ("address", "url"),
    [("10.0.0.2", "mqtts://10.0.0.2:18883"), ("fd00::2", "mqtts://[fd00::2]:18883")],
)
def test_addresses_of_both_families_make_a_url(address: str, url: str) -> None:
    """IPv6 in brackets."""
    assert Broker(node="n1", address=address).url == url

"""Where a broker is."""

from pathlib import Path

import pytest

from podbench.model.errors import ConfigError
from podbench.transport.endpoint import Credentials, Endpoint, parse_broker, read_secret


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("unix:///run/podbench/mqtt.sock", Endpoint("unix", "/run/podbench/mqtt.sock")),
        ("mqtt://broker.example", Endpoint("tcp", "broker.example", 1883)),
        ("mqtt://192.0.2.7:2883", Endpoint("tcp", "192.0.2.7", 2883)),
        ("mqtt://[2001:db8::1]:2883/", Endpoint("tcp", "2001:db8::1", 2883)),
        ("mqtts://192.0.2.7", Endpoint("tcp", "192.0.2.7", 8883, tls=True)),
    ],
)
def test_urls_are_read(url: str, endpoint: Endpoint) -> None:
    """A path or a host with a port, 1883 by default."""
    assert parse_broker(url) == endpoint


def test_url_is_shown_as_it_was() -> None:
    """Errors show the address as users write it."""
    assert str(parse_broker("unix:///a.sock")) == "unix:///a.sock"
    assert str(parse_broker("mqtt://h")) == "mqtt://h:1883"
    assert str(parse_broker("mqtts://h:1")) == "mqtts://h:1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mqtt://",
        "unix://relative/path",
        "http://h",
        "mqtt://h:port",
        "mqtt://h/topic",
        "h:1883",
    ],
)
def test_other_urls_are_refused_with_an_example(url: str) -> None:
    """What podbench cannot connect to is the user's error, with an example of what it can."""
    with pytest.raises(ConfigError, match="broker") as caught:
        parse_broker(url)
    assert caught.value.advice is not None
    assert "unix:///" in caught.value.advice


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    """A password on a command line would be in every process list."""
    with pytest.raises(ConfigError, match="credentials") as caught:
        parse_broker("mqtt://user:secret@h")
    assert "secret" not in str(caught.value)


def test_a_secret_is_read_without_the_line_end(tmp_path: Path) -> None:
    """Editors end a file with a line end that is no part of a password."""
    (tmp_path / "password").write_text("secret\n")

    assert read_secret(tmp_path / "password", "--password-file") == "secret"


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_secret_that_is_not_there_is_named(tmp_path: Path, content: str | None) -> None:
    """Connecting without the credentials one was told to use would hide the mistake."""
    if content is not None:
        (tmp_path / "password").write_text(content)

    with pytest.raises(ConfigError, match="--password-file"):
        read_secret(tmp_path / "password", "--password-file")


def test_a_damaged_certificate_is_an_error_of_ours() -> None:
    """No traceback of the TLS library."""
    with pytest.raises(ConfigError, match="certificate"):
        parse_broker("mqtts://h", Credentials(ca="nonsense")).context()

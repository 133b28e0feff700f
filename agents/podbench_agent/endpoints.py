"""Addresses as text and as the socket module takes them; link-local ones keep their interface."""

import socket

Endpoint = tuple[str, int] | tuple[str, int, int, int]
"""As the socket module takes it: address and port, for IPv6 with a scope (0, its index) too."""


def endpoint(address: str, port: int) -> Endpoint:
    """Where to send: an address as text, with `%` and its interface where it is link-local.

    Raises:
        OSError: There is no such interface.
    """
    host, _, scope = address.partition("%")
    if not scope:
        return host, port
    return host, port, 0, int(scope) if scope.isdigit() else socket.if_nametoindex(scope)

"""Whether a cluster may be changed: a kubeconfig alone says no.

People are shown the context and its server and type the context's name; programs name it and say
`--yes`. Both the name and the server are shown, for many contexts are called `default`.
"""

from collections.abc import Callable

from podbench.model.errors import ConfigError

Ask = Callable[[str], str]
"""Shows a question and returns what was typed."""


def require(context: str, server: str, *, named: bool, yes: bool, ask: Ask | None) -> None:
    """Returns if the change is wanted.

    Args:
        context: The context that would be used.
        server: Its API server.
        named: Whether the user named the context, not only the kubeconfig.
        yes: Whether the user said not to ask.
        ask: How to ask; null where nobody is there to answer.

    Raises:
        ConfigError: It is not wanted, or nobody could be asked.
    """
    if named and yes:
        return
    if ask is None:
        raise ConfigError(
            f"context {context} ({server}) would be changed, and there is nobody to ask",
            advice=f"name it and say so: --context {context} --yes",
        )
    typed = ask(f"this changes context {context} at {server}; type the context's name to go on: ")
    if typed.strip() != context:
        raise ConfigError(
            f"{typed.strip()!r} is not {context!r}: nothing was changed",
            advice=f"type {context}, or choose another with --context",
        )

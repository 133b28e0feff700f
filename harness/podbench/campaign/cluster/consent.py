"""Whether a cluster may be changed: a kubeconfig alone says no.

People are shown the context and its server and type the context's name; programs name it and say
`--yes`. Both the name and the server are shown, for many contexts are called `default`.
"""

from collections.abc import Callable

from podbench.model.errors import ConfigError

Ask = Callable[[str], str]
"""Shows a question and returns what was typed."""


def require_disruption(context: str, server: str, named: str | None) -> None:
    """Returns if the user said that this very cluster may break; nothing else says so.

    Args:
        context: The context whose mode would be changed.
        server: Its API server.
        named: What `--disrupt` names.

    Raises:
        ConfigError: It names none, or another.
    """
    if named == context:
        return
    raise ConfigError(
        f"--method switch changes the mode of context {context} ({server}) for everything that "
        "runs there; "
        + ("--disrupt must name it" if named is None else f"--disrupt names {named!r}"),
        advice=f"on a disposable cluster: --disrupt {context}; --yes does not imply it",
    )


def require(
    context: str,
    server: str,
    *,
    named: bool,
    yes: bool,
    ask: Ask | None,
    less: str | None = None,
) -> bool:
    """Returns true if the change is wanted, false if only `less` is.

    Args:
        context: The context that would be used.
        server: Its API server.
        named: Whether the user named the context, not only the kubeconfig.
        yes: Whether the user said not to ask.
        ask: How to ask; null where nobody is there to answer.
        less: A method that changes less, which may be typed before the context's name.

    Raises:
        ConfigError: It is not wanted, or nobody could be asked.
    """
    if named and yes:
        return True
    if ask is None:
        raise ConfigError(
            f"this would change context {context} ({server}), and there is no terminal to ask for "
            "consent",
            advice=f"give consent with --context {context} --yes",
        )
    instead = "" if less is None else f" (or `{less} {context}`, which creates no pools)"
    typed = ask(
        f"this changes context {context} at {server}; "
        f"type the context's name to continue{instead}: "
    ).strip()
    if typed == context:
        return True
    if less is not None and typed == f"{less} {context}":
        return False
    raise ConfigError(
        f"{typed!r} is not {context!r}: nothing was changed",
        advice=f"type {context}, or choose another with --context",
    )

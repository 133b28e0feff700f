"""Calico's label selectors, held against a node's labels. Pure.

Source: projectcalico/calico, libcalico-go/lib/selector (its tokenizer and parser).
"""

import re
from collections.abc import Mapping

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"[^"]*"|'[^']*')
    | (?P<sign>==|!=|&&|\|\||!|\(|\)|\{|\}|,)
    | (?P<word>not\s+in\b|in\b|contains\b|starts\s+with\b|ends\s+with\b)
    | (?P<call>(?:all|global)\(\s*\)|has\(\s*[A-Za-z0-9_./-]+\s*\))
    | (?P<label>[A-Za-z0-9_./-]+)
    )""",
    re.VERBOSE,
)


class _Unreadable(Exception):
    """The text is no selector."""


def selects(text: str, labels: Mapping[str, str]) -> bool | None:
    """Whether a selector matches these labels; null where it cannot be read."""
    if not text.strip():
        return True
    try:
        reader = _Reader(_tokens(text), labels)
        matches = reader.either()
    except (_Unreadable, RecursionError):
        return None
    return matches if reader.done else None


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise _Unreadable
        found.append(" ".join(match[0].split()) if match["word"] else match[0].strip())
        at = match.end()
    return found


class _Reader:
    """Reads `or` of `and` of terms, as Calico's parser does."""

    def __init__(self, tokens: list[str], labels: Mapping[str, str]) -> None:
        self._tokens = tokens
        self._labels = labels

    @property
    def done(self) -> bool:
        """Whether everything was read."""
        return not self._tokens

    def either(self) -> bool:
        found = self._both()
        while self._next_is("||"):
            found = self._both() or found
        return found

    def _both(self) -> bool:
        found = self._term()
        while self._next_is("&&"):
            found = self._term() and found
        return found

    def _term(self) -> bool:
        if self._next_is("!"):
            return not self._term()
        if self._next_is("("):
            found = self.either()
            self._expect(")")
            return found
        token = self._take()
        if token.startswith("has("):
            return token[4:-1].strip() in self._labels
        if token.startswith(("all(", "global(")):
            # Every node is matched by the first; no node is a global object.
            return token.startswith("all(")
        return self._compared(self._labels.get(token), self._take())

    def _compared(self, value: str | None, sign: str) -> bool:
        if sign in ("in", "not in"):
            return (value in self._set()) == (sign == "in")
        text = _unquoted(self._take())
        match sign:
            case "==":
                return value == text
            case "!=":
                return value != text
            case "contains":
                return value is not None and text in value
            case "starts with":
                return value is not None and value.startswith(text)
            case "ends with":
                return value is not None and value.endswith(text)
        raise _Unreadable

    def _set(self) -> set[str | None]:
        self._expect("{")
        found: set[str | None] = set()
        while not self._next_is("}"):
            found.add(_unquoted(self._take()))
            if not self._next_is(","):
                self._expect("}")
                break
        return found

    def _next_is(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == token:
            self._tokens.pop(0)
            return True
        return False

    def _take(self) -> str:
        if not self._tokens:
            raise _Unreadable
        return self._tokens.pop(0)

    def _expect(self, token: str) -> None:
        if not self._next_is(token):
            raise _Unreadable


def _unquoted(token: str) -> str:
    if len(token) < 2 or token[0] not in "\"'":
        raise _Unreadable
    return token[1:-1]

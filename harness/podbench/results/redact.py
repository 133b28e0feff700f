"""Results without names: what a page shows of a company's cluster, as stand-ins (`--redact`).

Nodes, zones, regions, runs, labels, contexts, servers and addresses become `node-1`, `zone-1` and
so on. The same name gets the same stand-in everywhere on a page, and again the next time. Figures,
modes, kernels and CPU models stay. Works on whole results after everything is computed, so that no
figure depends on it.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from podbench.model.arms import Path
from podbench.model.summary import Summary

T = TypeVar("T")

KEPT = frozenset(
    {
        *("arm", "arms_in_block", "base", "other", "mode", "modes", "path", "metric", "series"),
        *("unit", "verdict", "method", "kind", "status", "family", "direction", "design", "code"),
        *("provider", "kernel", "cpu_model", "implementation", "cni", "cni_requested", "target"),
        *("versions", "started", "ended", "observed", "route_origin"),
    }
)
"""Fields whose words are podbench's own: a node called `bgp` must not rename a mode."""
SETTINGS = {
    "context": "context",
    "server": "server",
    "kubeconfig": "file",
    "image": "image",
    "broker": "broker",
    "out": "directory",
    "image_pull_secret": "secret",
    "node_selector": "label",
    "disrupt": "context",
}
"""Settings of a run that name something of a user's, by the stand-in's kind."""
_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4})(?![\w.:]*\w)"
)
_MAC = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![\w:])")


def redacted(results: T, summaries: Sequence[Summary], known: Mapping[str, str] | None = None) -> T:
    """The same results with stand-ins for names and addresses.

    Args:
        results: a record of results: a bundle, a comparison, a summary.
        summaries: of every run in it; they say which words are names.
        known: further names by the kind of their stand-in: `{"prod-eu": "context"}`.
    """
    clean: T = _Redaction(_names(summaries, known or {})).of(results)
    return clean


def _names(summaries: Iterable[Summary], known: Mapping[str, str]) -> dict[str, str]:
    """Names to the kinds of their stand-ins, in an order that follows from the names alone."""
    kinds: dict[str, str] = dict(known)
    for summary in summaries:
        for node in summary.nodes:
            kinds[node.name] = "node"
            for kind in ("zone", "region", "residency"):
                kinds.setdefault(getattr(node, kind) or "", kind)
        kinds.setdefault(summary.name or "", "name")
        kinds.setdefault(summary.run_id, "run")
        for key, value in summary.labels.items():
            kinds.setdefault(key, "label")
            kinds.setdefault(value, "value")
        kinds |= {name: kind for name, kind in _settings(summary.spec) if name not in kinds}
    kinds.pop("", None)
    return kinds


def _settings(spec: object) -> Iterable[tuple[str, str]]:
    """What a run's settings name, wherever in them."""
    if isinstance(spec, Mapping):
        for key, value in spec.items():
            if key in SETTINGS:
                yield from ((text, SETTINGS[key]) for text in _texts(value))
                if key == "server":
                    yield urlsplit(str(value)).hostname or "", "server"
            else:
                yield from _settings(value)
    elif isinstance(spec, list | tuple):
        for each in spec:
            yield from _settings(each)


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (str(part) for item in value.items() for part in item)
    elif isinstance(value, list | tuple):
        yield from (str(each) for each in value)


class _Redaction:
    """Stand-ins by name, and a walk over records that puts them in."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        counts: dict[str, int] = {}
        self._stands: dict[str, str] = {}
        for name in sorted(kinds, key=_natural):
            kind = kinds[name]
            counts[kind] = counts.get(kind, 0) + 1
            self._stands[name] = f"{kind}-{counts[kind]}"
        longest = sorted(self._stands, key=len, reverse=True)
        words = "|".join(re.escape(name) for name in longest)
        bounded = rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])"
        self._pattern = re.compile(bounded) if words else None

    def of(self, thing: Any, field: str = "") -> Any:
        """A copy of any record with its words replaced; fields of podbench's own words stay."""
        if isinstance(thing, str):
            own = field in KEPT and (field != "path" or thing in set(Path))
            return thing if own else self.text(thing)
        if isinstance(thing, msgspec.Struct):
            fields = thing.__struct_fields__
            changed = {name: self.of(getattr(thing, name), name) for name in fields}
            return msgspec.structs.replace(thing, **changed)
        if isinstance(thing, tuple | list):
            return type(thing)(self.of(each, field) for each in thing)
        if isinstance(thing, Mapping) and field not in KEPT:
            return {self.of(key): self.of(value, str(key)) for key, value in thing.items()}
        return thing

    def text(self, text: str) -> str:
        """A text without names and addresses."""
        if self._pattern is not None:
            text = self._pattern.sub(lambda found: self._stands[found.group()], text)
        text = _MAC.sub(lambda found: self._numbered("mac", found.group().lower()), text)
        return _ADDRESS.sub(self._address, text)

    def _address(self, found: re.Match[str]) -> str:
        try:
            ipaddress.ip_address(found.group())
        except ValueError:
            return found.group()
        return self._numbered("address", found.group())

    def _numbered(self, kind: str, name: str) -> str:
        """Addresses are numbered as they come: records are walked in one order."""
        key = f"{kind} {name}"
        if key not in self._stands:
            number = sum(1 for known in self._stands if known.startswith(f"{kind} ")) + 1
            self._stands[key] = f"{kind}-{number}"
        return self._stands[key]


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """`n2` before `n10`."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(p.isdigit()), int(p) if p.isdigit() else 0, p) for p in parts)

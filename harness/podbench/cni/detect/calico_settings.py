"""Where Calico's settings stand, and which of them wins.

Felix takes each from its environment first, then from `FelixConfiguration`; the operator's
`Installation` becomes both. Objects come in two API groups: projectcalico.org/v3, and the storage
below it, crd.projectcalico.org/v1, which is all there is on some installations.
"""

from typing import Any

import msgspec

from podbench.cni.detect.facts import (
    CALICO,
    CALICO_CRD,
    ClusterFacts,
    Fact,
    Object,
    dig,
    name_of,
    told,
    unknown,
)
from podbench.cni.detect.workloads import Found


class Settings(msgspec.Struct, frozen=True):
    """Where Calico's settings stand."""

    facts: ClusterFacts
    agent: Found
    installation: Object | None
    felix: Object | None
    bgp: Object | None

    def calico_network(self, key: str) -> Any:
        """One of the Installation's network settings, as the operator completed it."""
        computed = dig(self.installation, "status", "computed", "calicoNetwork", key)
        asked = dig(self.installation, "spec", "calicoNetwork", key)
        return asked if computed is None else computed


def calico_objects(facts: ClusterFacts, kind: str) -> tuple[Object, ...]:
    """Objects of one of Calico's kinds, from whichever of its two groups could be read."""
    return facts.of(f"{kind}.{CALICO}") or facts.of(f"{kind}.{CALICO_CRD}")


def calico_object(facts: ClusterFacts, kind: str, name: str) -> Object | None:
    """One of them by name."""
    return next((each for each in calico_objects(facts, kind) if name_of(each) == name), None)


def why_unread(facts: ClusterFacts, kind: str) -> str | None:
    """Why neither group's objects were read; null if one was."""
    reasons = [facts.why_unread(f"{kind}.{group}") for group in (CALICO, CALICO_CRD)]
    return None if None in reasons else "; ".join(str(each) for each in reasons)


def environment(at: Settings, name: str) -> str | None:
    """A variable of calico-node, read from its ConfigMap where that is where it comes from."""
    for variable in at.agent.container.get("env") or ():
        if variable.get("name") != name:
            continue
        reference = dig(variable, "valueFrom", "configMapKeyRef")
        if reference is None:
            return _text(variable.get("value"))
        settings = at.facts.named("configmaps", str(reference.get("name")))
        return _text(dig(settings, "data", str(reference.get("key"))))
    return None


def unread_reference(at: Settings, name: str) -> str | None:
    """What a variable comes from, where that could not be read; null where it is known."""
    for variable in at.agent.container.get("env") or ():
        if variable.get("name") == name and variable.get("valueFrom") is not None:
            reference = dig(variable, "valueFrom", "configMapKeyRef")
            if reference is None:
                return "a field or a Secret, which is not read"
            where = f"ConfigMap {reference.get('name')}, {reference.get('key')}"
            settings = at.facts.named("configmaps", str(reference.get("name")))
            found = dig(settings, "data", str(reference.get("key")))
            return None if found is not None else f"{where}, which is not there or was not read"
    return None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def felix(at: Settings, field: str, *, default: Any) -> Fact[Any]:
    """One of Felix's settings: its environment wins, then the configuration, then the default."""
    variable = f"FELIX_{field.upper()}"
    text = environment(at, variable)
    if text is not None:
        return _parsed(text, default, f"{at.agent.where}: {variable}")
    value = dig(at.felix, "spec", field)
    if value is not None:
        return told(value, f"FelixConfiguration default, {field}")
    if (why := why_unread(at.facts, "felixconfigurations")) is not None:
        return unknown(why)
    return told(default, f"Calico's default, {field} is not set")


def _parsed(text: str, default: object, where: str) -> Fact[Any]:
    """An environment variable's value, in the type of the setting."""
    if isinstance(default, bool):
        known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        value = known.get(text.lower())
        return unknown(f"{where} is {text!r}") if value is None else told(value, where)
    if isinstance(default, int):
        return told(int(text), where) if text.isdigit() else unknown(f"{where} is {text!r}")
    return told(text, where)

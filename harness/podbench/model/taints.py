"""Taints and tolerations as kubectl writes them: `key[=value]:effect`."""

import msgspec

from podbench.model.errors import ConfigError

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class Toleration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A toleration, with the fields of a pod's."""

    key: str = ""
    """Empty, with `Exists`: any key."""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    """Empty: any effect."""

    def tolerates(self, key: str, value: str, effect: str) -> bool:
        """Whether a pod with it may be on a node with this taint."""
        if self.effect not in ("", effect):
            return False
        if self.key == "":
            return self.operator == "Exists"
        return self.key == key and (self.operator == "Exists" or self.value == value)

    def body(self) -> dict[str, str]:
        """As a pod's specification has it."""
        fields = {"key": self.key, "operator": self.operator, "value": self.value}
        return {name: text for name, text in {**fields, "effect": self.effect}.items() if text}


def read(text: str, flag: str) -> Toleration:
    """Reads `dedicated=gpu:NoSchedule`, `dedicated:NoExecute`, `dedicated` (any effect) or `*`.

    Raises:
        ConfigError: It is none; names the flag.
    """
    taint, colon, effect = text.partition(":")
    key, equals, value = taint.partition("=")
    good = (not colon or effect in EFFECTS) and key.strip() == key and " " not in text and key
    if not good:
        raise ConfigError(
            f"{flag}: {text!r} is no taint",
            advice=f"write key=value:EFFECT or key:EFFECT, with EFFECT one of {', '.join(EFFECTS)}",
        )
    return Toleration(
        key="" if key == "*" else key,
        operator="Equal" if equals else "Exists",
        value=value,
        effect=effect,
    )

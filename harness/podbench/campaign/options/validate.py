"""Checks values against their declarations, with the same messages for flags and YAML."""

import typing
from collections.abc import Sequence

from podbench.campaign.options.declaration import Option
from podbench.campaign.options.table import OPTIONS, Options, taken_by
from podbench.model import words
from podbench.model.errors import ConfigError


def values(options: Options, command: str = "run") -> None:
    """Checks every option that was given: valid words, bounds, units, and what it needs.

    Args:
        options: As given.
        command: The command that takes them; what another takes alone is not needed here.

    Raises:
        ConfigError: A value cannot be used; names the option and the way out.
    """
    for option in OPTIONS.values():
        value = getattr(options, option.name)
        if value == option.default:
            continue
        elements = value if option.kind is list else [value]
        if not elements:
            raise ConfigError(f"{option.flag}: no value given", advice=_valid(option))
        for element in elements:
            _element(option, element)
        if option.needs is not None and option.needs[0] in taken_by(command):
            _require(option, *option.needs, getattr(options, option.needs[0]))


def _element(option: Option, value: typing.Any) -> None:
    if option.choices and option.checked:
        words.check(value, option.choices, option.flag)
    if option.reads is not None:
        option.reads(value, option.flag)
    if option.least is not None and value < option.least:
        raise ConfigError(
            f"{option.flag}: {value} is fewer than {option.least}", advice=option.advice
        )
    if option.most is not None and value > option.most:
        raise ConfigError(
            f"{option.flag}: {value} is more than {option.most}", advice=option.advice
        )


def _require(option: Option, other: str, value: str, given: object) -> None:
    if given != value:
        raise ConfigError(
            f"{option.flag} applies to {OPTIONS[other].flag} {value} only",
            advice=option.advice or f"omit {option.flag}",
        )


def _valid(option: Option) -> str | None:
    return f"valid: {', '.join(option.choices)}" if option.choices else option.advice


def misplaced(options: Options, target: str) -> Option | None:
    """The first given option that does not apply to a target."""
    return next(
        (
            each
            for each in OPTIONS.values()
            if each.target not in (None, target) and getattr(options, each.name) != each.default
        ),
        None,
    )


def from_flag(option: Option, given: str | Sequence[str]) -> object:
    """The value of a flag's text.

    Args:
        option: Which.
        given: The flag's text; all of them where the flag may be repeated.

    Raises:
        ConfigError: It is not of the option's type.
    """
    if option.kind is dict:
        return dict(_pair(option, text) for text in given)
    if option.kind is list:
        texts = given if option.repeated else [each.strip() for each in str(given).split(",")]
        return [_plain(option, option.item, text) for text in texts if text]
    return _plain(option, option.kind, str(given))


def _plain(option: Option, kind: type, text: str) -> object:
    if kind is not int:
        return text
    try:
        return int(text)
    except ValueError:
        raise ConfigError(
            f"{option.flag}: {text!r} is not a whole number", advice=option.advice
        ) from None


def _pair(option: Option, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"{option.flag}: {text!r} is not k=v", advice=f"write it like {option.flag} env=lab"
        )
    return key, value

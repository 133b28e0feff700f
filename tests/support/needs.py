"""What a test needs of the machine: marks that skip by name where it is missing."""

import shutil

import pytest
from support import chromium
from support.bench import lab_trouble

_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
"""Debian gives ordinary users no sbin, where mosquitto lives."""


def programs(*names: str) -> pytest.MarkDecorator:
    """Skips where a program is not installed."""
    missing = [name for name in names if shutil.which(name, path=_PATH) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def lab() -> pytest.MarkDecorator:
    """Skips where `bench` cannot build a lab."""
    trouble = lab_trouble()
    return pytest.mark.skipif(trouble is not None, reason=f"no lab here: {trouble}")


def browser() -> pytest.MarkDecorator:
    """Skips where no Chromium opens pages."""
    return pytest.mark.skipif(chromium.CHROMIUM is None, reason="no Chromium on this machine")

"""The first file system of a QEMU guest: the modules for virtiofs, and a shell that mounts it."""

import lzma
import shutil
import stat
import subprocess
from pathlib import Path

from support.guests import packages

MODULES = ("virtio_pci", "virtiofs")
SCRIPT = """#!/busybox sh
/busybox mkdir -p /proc /new
/busybox mount -t proc proc /proc
for m in $(/busybox cat /order); do /busybox insmod /$m; done
/busybox mount -t virtiofs root /new
read -r line </proc/cmdline
for word in $line; do case $word in guestinit=*) init=${word#guestinit=} ;; esac; done
/busybox umount /proc
exec /busybox switch_root /new $init
"""


def made(folder: Path, modules: Path, version: str, suite: str) -> Path:
    """Writes it below the kernel's folder, once, and returns its path."""
    image = folder / "initrd"
    if image.exists():
        return image
    depmod = shutil.which("depmod") or "/usr/sbin/depmod"
    # depmod counts from lib/modules below its base; newer releases keep that in usr.
    base = str(modules.parents[1])
    subprocess.run([depmod, "-b", base, version], check=True, timeout=120)
    files = _needed(modules / version)
    busybox = packages.unpacked("busybox-static", suite)
    program = next(path for path in busybox.glob("**/bin/busybox"))
    archive = b"".join(
        (
            _entry("busybox", program.read_bytes(), 0o755),
            _entry("init", SCRIPT.encode(), 0o755),
            _entry("order", "\n".join(files).encode() + b"\n", 0o644),
            *(_entry(name, data, 0o644) for name, data in files.items()),
            _entry("dev", b"", 0o755, kind=stat.S_IFDIR),
            _entry("TRAILER!!!", b"", 0),
        )
    )
    fresh = image.with_suffix(".new")
    fresh.write_bytes(archive)
    fresh.rename(image)
    return image


def _needed(modules: Path) -> dict[str, bytes]:
    """The modules' files in the order in which they load; built-in ones have none."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[Path(path).name.partition(".")[0]] = [path, *others.split()]
    files: dict[str, bytes] = {}
    for module in MODULES:
        # Each line names the module itself, then what it needs, the deepest last.
        for path in reversed(needs.get(module, [])):
            data = (modules / path).read_bytes()
            name = Path(path).name
            if name.endswith(".xz"):
                name, data = name.removesuffix(".xz"), lzma.decompress(data)
            files.setdefault(name, data)
    return files


def _entry(name: str, data: bytes, mode: int, kind: int = stat.S_IFREG) -> bytes:
    """One file of an archive in the format `newc` (Documentation/driver-api/early-userspace)."""
    title = name.encode() + b"\0"
    fields = (0, kind | mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(title), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + title
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)

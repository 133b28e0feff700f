"""How each kind of kernel is started: the command lines of user-mode Linux and of QEMU.

Both get the same `init` and the host's own file system as their root. The checkout, its .venv and
all programs are therefore the host's, and no image has to be made or kept up to date.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from support.guests import initrd, packages
from support.guests.kernels import Kernel
from support.guests.packages import UnavailableError

INIT = Path(__file__).with_name("init")
SHIM = Path(__file__).with_name("fpshim.c")
MEMORY_MIB = 2048
LOADER = "/lib64/ld-linux-x86-64.so.2"
FIXED_FP = (6, 2)
"""From here on user-mode Linux asks the CPU how long its register state is."""
VIRTIOFSD = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")


class Boot(msgspec.Struct):
    """A command that boots a guest, ready for arguments of the kernel's command line."""

    command: list[str]
    environment: dict[str, str]
    folder: Path
    """Where it has to be started."""


def programs_missing(kernel: Kernel) -> str | None:
    """What the machine lacks to run this kind of guest; null where nothing."""
    wanted = {"modprobe": "kmod", "ip": "iproute2", "setsid": "util-linux"}
    if kernel.boot == "qemu":
        wanted["qemu-system-x86_64"] = "qemu-system-x86"
    for program, package in wanted.items():
        if _program(program) is None:
            return f"{program} (package {package})"
    if not Path("/lib").is_symlink():
        return "a merged /usr (package usr-is-merged)"
    if kernel.boot == "qemu" and not any(Path(path).exists() for path in VIRTIOFSD):
        return "virtiofsd"
    return None


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@contextlib.contextmanager
def prepared(kernel: Kernel, out: Path, arguments: Sequence[str]) -> Iterator[Boot]:
    """Fetches the kernel where it is not there yet and says how to start it.

    Args:
        kernel: Which one.
        out: The folder for results, writable in the guest as /out.
        arguments: More words for the kernel's command line.

    Raises:
        UnavailableError: This machine cannot have it.
    """
    missing = programs_missing(kernel)
    if missing:
        raise UnavailableError(f"{missing} is not installed")
    if kernel.boot == "uml":
        yield _uml(kernel, out, arguments)
    else:
        with _qemu(kernel, out, arguments) as boot:
            yield boot


def _line(modules: Path, out: Path, arguments: Sequence[str]) -> list[str]:
    """What every guest is told, in words of the kernel's command line."""
    return ["quiet", "loglevel=4", "panic=-1", f"modroot={modules}", f"out={out}", *arguments]


def _uml(kernel: Kernel, out: Path, arguments: Sequence[str]) -> Boot:
    folder = packages.unpacked("user-mode-linux", kernel.suite)
    environment = {"TMPDIR": _memory_folder()}
    program = folder / "usr/bin/linux.uml"
    version = _version(kernel)
    if version < FIXED_FP and "amx_tile" in Path("/proc/cpuinfo").read_text():
        environment["LD_PRELOAD"] = str(_shim())
    if not _starts(program):
        program = _with_own_libc(program, kernel.suite)
        environment["LD_LIBRARY_PATH"] = str(folder / "libc")
    return Boot(
        [
            f"./{program.relative_to(folder)}",
            *(f"mem={MEMORY_MIB}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"),
            *(f"init={INIT}", f"uml_dir={out}/", "umid=uml"),
            *("con=null", "con0=null,fd:1", "ssl=null"),
            *_line(folder / "usr/lib/uml/modules", out, arguments),
        ],
        environment,
        folder,
    )


def _version(kernel: Kernel) -> tuple[int, int]:
    major, _, minor = kernel.name.partition("-")[0].partition(".")
    return int(major), int(minor)


def _memory_folder() -> str:
    """The guest's memory is a file; in a container /dev/shm may be too small for it."""
    for folder in ("/dev/shm", "/tmp"):
        with contextlib.suppress(OSError):
            if shutil.disk_usage(folder).free > MEMORY_MIB << 20:
                return folder
    raise UnavailableError(f"no room for a guest's memory: {MEMORY_MIB} MiB in /dev/shm or /tmp")


def _starts(program: Path) -> bool:
    """Whether this machine's C library is new enough for the program."""
    done = subprocess.run([program, "--version"], capture_output=True, check=False, timeout=30)
    return done.returncode == 0


def _with_own_libc(program: Path, suite: str) -> Path:
    """A copy of the program that takes the loader and C library of its own Debian release.

    A path without a leading slash in PT_INTERP counts from the working directory, which `Boot`
    names; the loader cannot be called with the program as its argument, since the kernel would then
    place its memory where user-mode Linux does not look for it.
    """
    folder = program.parents[2]
    patched = folder / "linux.uml"
    if not patched.exists():
        libraries = packages.unpacked("libc6", suite) / "usr/lib/x86_64-linux-gnu"
        (folder / "libc").unlink(missing_ok=True)
        (folder / "libc").symlink_to(libraries)
        before = LOADER.encode() + b"\0"
        after = b"libc/" + Path(LOADER).name.encode() + b"\0"
        data = program.read_bytes()
        assert data.count(before) == 1
        fresh = folder / "linux.uml.new"
        fresh.write_bytes(data.replace(before, after.ljust(len(before), b"\0")))
        fresh.chmod(0o755)
        fresh.rename(patched)
    return patched


def _shim() -> Path:
    """The library that gives old user-mode Linux the whole register state; needs a C compiler."""
    library = packages.cache() / "fpshim.so"
    if not library.exists():
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise UnavailableError("needs a C compiler: this kernel knows no CPU with AMX")
        fresh = library.with_suffix(f".{os.getpid()}")
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(fresh), str(SHIM)]
        subprocess.run(command, check=True, timeout=60)
        fresh.rename(library)
    return library


@contextlib.contextmanager
def _qemu(kernel: Kernel, out: Path, arguments: Sequence[str]) -> Iterator[Boot]:
    folder = packages.unpacked("linux-image-cloud-amd64", kernel.suite)
    image = next((folder / "boot").glob("vmlinuz-*"))
    modules = next(
        path for name in ("usr/lib", "lib") if (path := folder / name / "modules").exists()
    )
    first = initrd.made(folder, modules, image.name.removeprefix("vmlinuz-"), kernel.suite)
    socket = out / "virtiofs.sock"
    line = " ".join(["console=ttyS0", f"guestinit={INIT}", *_line(modules, out, arguments)])
    with _served_files(socket):
        yield Boot(
            [
                *("qemu-system-x86_64", "-cpu", "max", "-smp", "2", "-m", f"{MEMORY_MIB}M"),
                *("-machine", "q35,accel=tcg,memory-backend=memory"),
                *("-object", f"memory-backend-memfd,id=memory,size={MEMORY_MIB}M,share=on"),
                *("-nographic", "-no-reboot", "-nic", "none"),
                *("-kernel", str(image), "-initrd", str(first), "-append", line),
                *("-chardev", f"socket,id=files,path={socket}"),
                *("-device", "vhost-user-fs-pci,chardev=files,tag=root"),
            ],
            {},
            folder,
        )


@contextlib.contextmanager
def _served_files(socket: Path) -> Iterator[None]:
    """Runs virtiofsd, which hands the host's file system to one guest."""
    program = next(path for path in VIRTIOFSD if Path(path).exists())
    options = ["--shared-dir=/", "--cache=always", "--sandbox=none"]
    if program == VIRTIOFSD[0]:  # the one that came with QEMU before 8.0
        options = ["-o", "source=/,cache=always,sandbox=chroot"]
    with (socket.parent / "virtiofsd").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--socket-path={socket}", *options], stdout=log, stderr=log
        )
    try:
        while not socket.exists():
            if process.poll() is not None:
                said = (socket.parent / "virtiofsd").read_text("utf-8", "replace").strip()
                raise UnavailableError(f"virtiofsd ended: {said.splitlines()[-1:]}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def interpreter() -> str:
    """This interpreter, which the guest sees at the same path."""
    return sys.executable

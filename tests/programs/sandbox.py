# SPDX-License-Identifier: Apache-2.0
"""A private place to run guest programs in: own mounts, network and binfmt_misc.

`enter()` runs the script again inside new user, mount, network and process
namespaces. There `Sandbox` prepares the guest root so that the same command
sees the same files in both ways of running it: by `-L ROOT` from outside, and
by chroot with the emulator as a binfmt_misc handler, which is how a guest
program run by the peer can start others. Nothing of the machine is changed.
"""

import ctypes
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

INSIDE = "LYREBIRD_SANDBOX"
MAGIC = {
    "aarch64": r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    "i386": r"\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x03\x00",
}
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
BINFMT = "/proc/sys/fs/binfmt_misc"
MS_BIND, MS_REC = 0x1000, 0x4000
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """This machine does not permit what the sandbox needs."""


def enter() -> None:
    """Runs this script again inside the namespaces and ends with it; returns inside, or outside when
    they are refused. A signal that ends this process ends everything that runs in there."""
    if os.environ.get(INSIDE):
        return
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child",
               "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        return
    work = tempfile.mkdtemp(prefix="lyrebird-programs.")
    ended_by = []
    # unshare itself holds SIGTERM back. Its death is that of process 1 in there, and so of all.
    p = subprocess.Popen([*unshare, sys.executable, *sys.argv], env=os.environ | {INSIDE: work},
                         preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda n, frame: (ended_by.append(n), p.kill()))
    status = p.wait()
    shutil.rmtree(work, ignore_errors=True)
    sys.exit(128 + ended_by[0] if ended_by else status)


def work_folder() -> str:
    """Inside: a folder that is removed at the end, however that comes."""
    return os.environ[INSIDE]


def inside() -> bool:
    return bool(os.environ.get(INSIDE))


def _mount(source: str, target, kind: str, flags: int) -> None:
    if _libc.mount(source.encode(), str(target).encode(), kind.encode(), flags, None) != 0:
        error = ctypes.get_errno()
        raise Refused(f"mount {source} on {target}: {os.strerror(error)}")


def bind(source: str, target: pathlib.Path) -> None:
    _mount(source, target, "none", MS_BIND | MS_REC)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sH14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(s, 0x8914, request)  # SIOCSIFFLAGS


class Sandbox:
    def __init__(self, root: pathlib.Path, native: bool):
        """`native`: this machine runs the root's programs itself, without a handler."""
        self.root = root
        self.names: list[str] = []
        _loopback_up()
        for folder in ("proc", "dev", "sys", "tmp"):
            _mount(f"/{folder}", root / folder, "none", MS_BIND | MS_REC)
        # The emulator is a program of this machine and finds its libraries here.
        libraries = pathlib.Path("/usr/lib/x86_64-linux-gnu")
        if libraries.is_dir() and not native:
            _mount(str(libraries), root / "usr/lib/x86_64-linux-gnu", "none", MS_BIND)
            _mount("/lib64", root / "usr/lib64", "none", MS_BIND)

    def register(self, emulator: str, flags: str, name: str = "peer", guest: str = "aarch64") -> None:
        """Makes `emulator` the handler of the guest's programs, in here only."""
        binary = shutil.which(emulator)
        if not binary:
            raise Refused(f"{emulator} is not there")
        self._mount_binfmt()
        self._write_binfmt("register", f":{name}:M::{MAGIC[guest]}:{MASK}:{os.path.realpath(binary)}:{flags}")
        self.names.append(name)

    def select(self, name: str) -> None:
        """Of several handlers, only `name` from here on."""
        for one in self.names:
            self._write_binfmt(one, "1" if one == name else "0")

    def register_by(self, command: list[str]) -> None:
        """In the place of the last handler, what `command` registers."""
        self._write_binfmt("peer", "-1")
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Refused(f"{' '.join(command)}: {done.stderr.strip()}")

    @staticmethod
    def _mount_binfmt() -> None:
        if not os.path.exists(f"{BINFMT}/register"):
            _mount("binfmt_misc", BINFMT, "binfmt_misc", 0)

    @staticmethod
    def _write_binfmt(name: str, text: str) -> None:
        with open(f"{BINFMT}/{name}", "wb", buffering=0) as f:
            f.write(text.encode())

    def child(self, cwd: str, chroot: bool, persona: int = 0):
        """For Popen's preexec_fn: the child is an ordinary user, and with `chroot`
        sees the guest's root as its own; `persona` for personality(2)."""
        def apply():
            os.umask(0o022)
            if persona and _libc.personality(persona) < 0:
                raise OSError(ctypes.get_errno(), "personality")
            if _libc.unshare(CLONE_NEWUSER) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            for name, text in (("setgroups", "deny"), ("uid_map", "1000 0 1"), ("gid_map", "1000 0 1")):
                with open(f"/proc/self/{name}", "w") as f:
                    f.write(text)
            if chroot:
                os.chroot(self.root)
            os.chdir(cwd)
        return apply

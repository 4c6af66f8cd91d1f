# SPDX-License-Identifier: Apache-2.0
"""Runs one program in one of several ways, and knows what it took."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import programs

sys.path.insert(0, str(programs.TREE / "tests" / "programs"))
import sandbox  # noqa: E402

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
               "TZ": "UTC", "TERM": "dumb", "HOME": "/tmp"}


@dataclass
class Taken:
    wall: float
    user: float
    system: float
    resident: int  # KiB, at most
    output: str  # a hash of stdout

    @property
    def cpu(self) -> float:
        return self.user + self.system


class Failed(Exception):
    pass


@dataclass
class Way:
    """How a program is run: by an emulator, by binfmt_misc in a chroot, or by the machine itself."""
    name: str
    emulator: str = ""  # a path; empty: native
    options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    starts_others: bool = False  # what the guest executes is emulated too, without binfmt_misc


class Runner:
    """Namespaces of its own (tests/programs/sandbox.py) where the machine permits them."""

    def __init__(self, guest, root: pathlib.Path, native_root: pathlib.Path | None, peers: list[Way]):
        self.guest, self.root, self.native_root = guest, root, native_root
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="lyrebird-bench."))
        self.data = self.work / "data"
        self.data.mkdir()
        programs.make_data(self.data, root)
        self.launch = self.work / "launch"
        subprocess.run(["gcc", "-O2", "-static", str(programs.HERE / "launch.c"), "-o", str(self.launch)], check=True)
        self.box = None
        if sandbox.inside():
            try:
                self.box = sandbox.Sandbox(root, guest.runs_here)
                for peer in peers if guest.peers_start_others else ():
                    self.box.register(peer.emulator, "OCFP", peer.name, guest.name)
                if native_root:
                    for folder in ("proc", "dev", "tmp"):
                        sandbox.bind(f"/{folder}", native_root / folder)
            except (sandbox.Refused, OSError) as error:
                print(f"bench: {error}; programs that start others are not measured", file=sys.stderr)
                self.box = None

    def close(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)

    def _native(self, p: programs.Program, words: list[str]) -> tuple[list[str], list[str]] | None:
        if self.box:
            self.box.select("")  # no handler takes what the machine runs itself
        if p.kernel:
            words[0] = str(programs.binary(p, self.guest.name if self.guest.runs_here else "native"))
            return ([], [words[0], *words]) if p.native else None
        if p.native == "cc1" and self.guest.native_cc1:
            words[0] = self.guest.native_cc1
            return ([], [words[0], *words]) if os.path.exists(words[0]) else None
        return (["-r", str(self.native_root)], [words[0], *words]) if self.box and self.native_root and p.native else None

    def _command(self, p: programs.Program, way: Way, quick: bool) -> tuple[list[str], list[str]] | None:
        """(the launcher's options, argv[0] and what is executed with its arguments)"""
        words = p.words(quick, str(self.data), self.guest.cc1)
        if not way.emulator:
            return self._native(p, words)
        emulator = [way.emulator, *way.options, *(["-cpu", p.cpu] if p.cpu else [])]
        if p.kernel:
            words[0] = str(programs.binary(p, self.guest.name))
            return [], [way.emulator, *emulator, *words]
        if p.forks and not way.starts_others:
            if not self.box or not self.guest.peers_start_others:
                return None
            self.box.select(way.name)
            return ["-r", str(self.root)], [words[0], *words]
        return [], [way.emulator, *emulator, "-L", str(self.root), str(self.root) + words[0], *words[1:]]

    def run(self, p: programs.Program, way: Way, quick: bool, timeout: float = 300) -> Taken | None:
        """None: there is no such way here."""
        command = self._command(p, way, quick)
        if command is None:
            return None
        cwd = pathlib.Path(tempfile.mkdtemp(dir=self.work))
        report_r, report_w = os.pipe()
        argv = [str(self.launch), "-f", str(report_w), *command[0], "-d", str(cwd), *command[1]]
        environment = ENVIRONMENT | dict(way.environment) | {"HOME": str(cwd)}
        try:
            with open(self.work / "stdout", "w+b") as out, open(self.work / "stderr", "w+b") as err:
                child = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                         pass_fds=(report_w,), start_new_session=True)
                os.close(report_w)
                report_w = -1
                try:
                    child.wait(timeout)
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, 9)
                    child.wait()
                    raise Failed(f"took more than {timeout:.0f} s")
                line = os.read(report_r, 4096).decode().split()
                out.seek(0), err.seek(0)
                output, said = out.read(), err.read().decode(errors="replace").strip().splitlines()
        finally:
            for fd in (report_r, report_w):
                if fd >= 0:
                    os.close(fd)
            shutil.rmtree(cwd, ignore_errors=True)
        if len(line) != 5 or line[4] != "0":
            raise Failed(f"wait status {line[4:] or 'unknown'}: {said[-1] if said else 'no message'}")
        text = output.replace(str(cwd).encode(), b"CWD")
        return Taken(float(line[0]), float(line[1]), float(line[2]), int(line[3]), hashlib.sha256(text).hexdigest())


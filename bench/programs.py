# SPDX-License-Identifier: Apache-2.0
"""What `./dev bench` runs: a fixed set, one kind of work each.

A kernel is bench/guest/NAME.c, its argument the amount of work. A program is from the guest root;
its command is what one types inside it, with {data} for the folder of inputs.
"""

import lzma
import pathlib
import shlex
import subprocess
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent
BUILD = TREE / "build" / "bench"


@dataclass
class Program:
    name: str
    group: str
    run: str  # as typed inside the root; the first word is a path
    quick: str = ""  # the same with less to do
    forks: bool = False  # starts other guest programs: the peer needs binfmt_misc and a chroot for that
    native: str | None = None  # a command of this machine that is the same; "root": in the native root; "kernel"
    kernel: str = ""  # the guest program is bench/guest/KERNEL.c
    rounds: int = 3
    only: str = ""  # for guests whose name begins so
    flags: tuple[str, ...] = ()  # of the kernel's compiler
    cpu: str = ""  # the emulators' -cpu; empty: what each has without it

    def suits(self, guest: str) -> bool:
        return guest.startswith(self.only) or (self.only == "x86" and guest == "i386")

    def words(self, quick: bool, data: str, cc1: str) -> list[str]:
        return shlex.split((self.quick if quick and self.quick else self.run).format(data=data, cc1=cc1))


def kernel(group: str, name: str, work: int, *, label: str = "", args: str = "", native: bool = True, **more) -> Program:
    return Program(label or name, group, f"{name} {work}{args}", f"{name} {max(work // 5, 1)}{args}",
                   native="kernel" if native else None, kernel=name, **more)


def program(group: str, name: str, run: str, quick: str = "", *, forks: bool = False, native: str | None = "root",
            rounds: int = 3) -> Program:
    return Program(name, group, run, quick, forks, native, rounds=rounds)


CC1_ARGS = "-quiet -O2 -fno-ident -o - {data}/small.c"
AES = "-K 000102030405060708090a0b0c0d0e0f -iv 000102030405060708090a0b0c0d0e0f"

PROGRAMS = [
    program("start", "/bin/true", "/usr/bin/true", rounds=15),
    program("start", "python3 -c pass", "/usr/bin/python3 -c pass", rounds=5),
    program("translation", "cc1 -O2, 60 lines", f"{{cc1}} {CC1_ARGS}", native="cc1"),
    program("translation", "configure-like script", "/bin/dash {data}/configure.sh", forks=True),
    program("translation", "git", "/bin/dash {data}/git.sh", forks=True),
    program("languages", "python3 script", "/usr/bin/python3 {data}/script.py 20000",
            "/usr/bin/python3 {data}/script.py 2000"),
    program("languages", "perl script", "/usr/bin/perl {data}/script.pl 300000", "/usr/bin/perl {data}/script.pl 30000"),
    program("languages", "lua script", "/usr/bin/lua5.4 {data}/script.lua 200000",
            "/usr/bin/lua5.4 {data}/script.lua 20000"),
    program("languages", "sqlite3", "/usr/bin/sqlite3 -batch :memory: '.read {data}/script.sql'"),
    program("archivers", "7za, compress", "/usr/lib/p7zip/7za a -mmt1 -mx3 -bd -txz -so x {data}/program"),
    program("archivers", "7za, extract", "/usr/lib/p7zip/7za x -mmt1 -bd -so {data}/program.xz"),
    program("archivers", "xz -2", "/usr/bin/xz -2 -T1 -c {data}/program"),
    program("archivers", "xz -d", "/usr/bin/xz -d -c {data}/program.xz"),
    kernel("loops", "loop", 300, native=False, only="aarch64"),
    kernel("loops", "sieve", 60),
    kernel("loops", "quicksort", 60),
    kernel("loops", "crc", 60),
    kernel("loops", "int64", 60),
    kernel("loops", "dhry", 60),
    kernel("floating point", "matrix", 30),
    kernel("floating point", "mandelbrot", 30),
    kernel("floating point", "nbody", 30),
    kernel("floating point", "libm", 30),
    kernel("vectors", "neon", 30, native=False, only="aarch64"),
    kernel("vectors", "neon", 30, label="SSE2 loops", only="x86", flags=("-msse2",)),
    kernel("vectors", "neon", 30, label="AVX2 loops", only="x86", flags=("-mavx2", "-ffp-contract=off"), cpu="max"),
    kernel("vectors", "memory", 60),
    kernel("vectors", "strings", 60),
    kernel("cryptography", "sha256", 60),
    kernel("cryptography", "sha256_ce", 60, native=False, only="aarch64"),
    kernel("cryptography", "aes", 60),
    kernel("cryptography", "aes_ce", 60, native=False, only="aarch64"),
    program("cryptography", "openssl sha256", "/usr/bin/openssl dgst -sha256 {data}/zeros",
            "/usr/bin/openssl dgst -sha256 {data}/program"),
    program("cryptography", "openssl aes-128-ctr", f"/usr/bin/openssl enc -aes-128-ctr {AES} -in {{data}}/zeros",
            f"/usr/bin/openssl enc -aes-128-ctr {AES} -in {{data}}/program"),
    kernel("calls", "fib", 60),
    kernel("calls", "indirect", 60),
    kernel("calls", "print", 60, label="printf"),
    kernel("system", "threads", 60, label="2 threads", args=" 2"),
    kernel("system", "threads", 60, label="4 threads", args=" 4"),
    kernel("system", "signals", 60),
    kernel("system", "syscalls", 60),
]


def _compile(compiler: tuple[str, ...], source: pathlib.Path, out: pathlib.Path, flags: tuple[str, ...]) -> bool:
    if out.exists() and out.stat().st_mtime >= max(f.stat().st_mtime for f in source.parent.glob("*.[chS]")):
        return True
    out.parent.mkdir(parents=True, exist_ok=True)
    extra = ["-nostdlib"] if source.suffix == ".S" else ["-lm", "-lpthread"]
    return subprocess.run([*compiler, "-O2", *flags, "-static", str(source), "-o", str(out), *extra]).returncode == 0


def binary(p: Program, folder: str) -> pathlib.Path:
    """A kernel as a program of guest `folder`, or of this machine if it is "native"."""
    return BUILD / folder / "-".join([p.kernel, *(f.lstrip("-") for f in p.flags)])


def build(p: Program, guest) -> None:
    """Makes binary(p, guest.name), and binary(p, "native") if the guest's does not run here."""
    source = HERE / "guest" / f"{p.kernel}.c"
    if not source.exists():
        source = source.with_suffix(".S")
    if not _compile(guest.compiler, source, binary(p, guest.name), p.flags):
        raise SystemExit(f"bench: {source} does not compile")
    if not p.native or guest.runs_here:
        return
    # AArch64 has fused multiply-add from the start: the same sum needs it here too.
    fused = ("-mfma",) if "fma" in pathlib.Path("/proc/cpuinfo").read_text().split() else ()
    if not _compile(("gcc",), source, binary(p, "native"), (*fused, *p.flags)):
        raise SystemExit(f"bench: {source} does not compile for this machine")


def make_data(folder: pathlib.Path, root: pathlib.Path) -> None:
    """The inputs: the same bytes on every machine with the same guest root."""
    for script in (HERE / "guest" / "scripts").iterdir():
        (folder / script.name).write_bytes(script.read_bytes())
    binary = (root / "usr/bin/python3.11").read_bytes()[:1 << 20]
    (folder / "program").write_bytes(binary)
    (folder / "program.xz").write_bytes(lzma.compress(binary * 4, preset=2))
    (folder / "zeros").write_bytes(bytes(range(256)) * (32 << 12))

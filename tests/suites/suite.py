# SPDX-License-Identifier: Apache-2.0
"""What the independent suites share: options, cached cross builds, running
many programs under an emulator, and the summary.

A suite gives a list of Case. Each case's program is built once (cached under
build/suites by the hash of its source, flags and compiler), then run under
the emulator; `check` judges the result. The last line is always
`NAME: N passed, M failed`; exit status 0 when nothing failed, 77 (skipped)
when the source cannot be fetched.
"""

import argparse
import concurrent.futures
import hashlib
import os
import pathlib
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "suites"
SKIPPED = 77


@dataclass
class Target:
    """What guest programs are built with and run under."""
    program: str  # the emulator's name
    compiler: str
    host: str = ""  # the host's machine on which they also run natively
    cpu: str = ""  # which model runs all of them


# -idirafter: <asm/*.h>, which only gcc-multilib would put where -m32 looks.
TARGETS = {
    "aarch64": Target("lyrebird-aarch64", "aarch64-linux-gnu-gcc"),
    "x86_64": Target("lyrebird-x86_64", "gcc-12", "x86_64", "max"),
    "i386": Target("lyrebird-i386", "gcc-12 -m32 -idirafter /usr/include/x86_64-linux-gnu", "x86_64", "max"),
}
NATIVE = "env"  # --emulator env runs a program as it is


@dataclass
class Result:
    status: int | None  # exit status, negative: killed by that signal, None: timed out
    stdout: bytes
    stderr: bytes

    def why(self) -> str:
        if self.status is None:
            return "timed out"
        if self.status < 0:
            return signal.Signals(-self.status).name
        return f"exit status {self.status}"


def exits_with_zero(result: Result) -> str | None:
    """The commonest check: None when it passed, else the reason."""
    return None if result.status == 0 else result.why()


@dataclass
class Case:
    name: str
    sources: list[pathlib.Path]
    flags: list[str]
    check: object = exits_with_zero  # Result -> None or the reason of failure
    libs: list[str] = field(default_factory=list)
    emulator_args: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)


def parser(what: str) -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=what)
    p.add_argument("--target", choices=TARGETS, default="aarch64")
    p.add_argument("--emulator", default="",
                   help="the command which runs a guest program (default: build/release/lyrebird-TARGET; "
                        f"{NATIVE}: none, natively)")
    p.add_argument("--compiler", default="")
    p.add_argument("-j", "--jobs", type=int, default=2)
    p.add_argument("--timeout", type=float, default=60, help="seconds for one program (default 60)")
    p.add_argument("--only", default="", metavar="TEXT", help="only cases whose name contains TEXT")
    p.add_argument("--without", default="", metavar="NAMES", help="not these, separated by commas")
    p.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth case")
    p.add_argument("--keep", metavar="DIR", help="leave each case's output in DIR")
    return p


def parse(p: argparse.ArgumentParser):
    """The options, with what the target decides filled in."""
    options = p.parse_args()
    target = TARGETS[options.target]
    options.emulator = options.emulator or str(ROOT / "build/release" / target.program)
    options.compiler = options.compiler or target.compiler
    options.cpu = [] if options.emulator == NATIVE or not target.cpu else ["-cpu", target.cpu]
    options.native = platform.machine() == target.host
    return options


def is_amd() -> bool:
    """Whether the host is AMD's: what the manual leaves undefined is in ours as there, and counts only there."""
    return "AuthenticAMD" in pathlib.Path("/proc/cpuinfo").read_text()


def natively(case: "Case", options) -> "Result":
    """How the case ends on this machine itself."""
    program, _ = build(case, options.compiler)
    with tempfile.TemporaryDirectory() as cwd:
        return run([str(program), *case.args], options.timeout, cwd)


def source(package: str, *paths: str) -> pathlib.Path:
    """The named parts of a Debian source package, fetched when wanted."""
    got = subprocess.run([ROOT / "tools/dev/source", package, *paths], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    if got.returncode != 0:
        lines = got.stderr.strip().splitlines() or ["no reason given"]
        print(f"skipped: the source of {package} cannot be fetched: {lines[-1]}")
        sys.exit(SKIPPED)
    return pathlib.Path(got.stdout.strip())


def build(case: Case, compiler: str) -> tuple[pathlib.Path | None, str]:
    """The case's program, or None and what the compiler said."""
    h = hashlib.sha256(repr((compiler, case.flags, case.libs)).encode())
    for path in case.sources:
        h.update(path.read_bytes())
    program = BUILD / h.hexdigest()[:2] / f"{case.name.replace('/', '_')}-{h.hexdigest()[:12]}"
    failed = program.with_suffix(".failed")
    if program.exists():
        return program, ""
    if failed.exists():
        return None, failed.read_text()
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}")
    command = [*shlex.split(compiler), *case.flags, *map(str, case.sources), "-o", str(fresh), *case.libs]
    got = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         errors="replace")
    if got.returncode != 0:
        failed.write_text(got.stdout)
        return None, got.stdout
    fresh.rename(program)
    return program, ""


def run(command: list[str], timeout: float, cwd: str, stdin: bytes = b"") -> Result:
    """Runs in a session of its own, so that a timeout ends its children as well."""
    p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         cwd=cwd, start_new_session=True)
    try:
        out, err = p.communicate(stdin, timeout)
        return Result(p.returncode, out, err)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        out, err = p.communicate()
        return Result(None, out, err)


def judge(case: Case, options) -> tuple[str, str | None]:
    """(name, None or why it failed)"""
    program, complaint = build(case, options.compiler)
    if program is None:
        return case.name, "does not compile: " + (complaint.strip().splitlines() or ["?"])[0]
    with tempfile.TemporaryDirectory() as cwd:
        result = run([*shlex.split(options.emulator), *options.cpu, *case.emulator_args, str(program), *case.args],
                     options.timeout, cwd)
    if options.keep:
        keep = pathlib.Path(options.keep)
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{case.name.replace('/', '_')}.out").write_bytes(result.stdout)
        (keep / f"{case.name.replace('/', '_')}.err").write_bytes(result.stderr)
    reason = case.check(result)
    if reason:
        said = result.stderr.decode(errors="replace").strip().splitlines()
        if said:
            reason += ": " + said[-1][:200]
    return case.name, reason


def run_cases(name: str, cases: list[Case], options) -> int:
    """Runs all, prints the failures and the summary, returns the exit status."""
    emulator = shlex.split(options.emulator)[0]
    if "/" in emulator and not os.access(emulator, os.X_OK):
        print(f"{name}: {emulator} is not there; build it with ./dev build, or give --emulator")
        return 1
    left_out = options.without.split(",")
    cases = [c for c in cases if options.only in c.name and c.name not in left_out][:: options.every]
    passed, failed = 0, []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for case, reason in pool.map(lambda c: judge(c, options), cases):
            if reason:
                failed.append(case)
                print(f"FAIL {case}: {reason}", flush=True)
            else:
                passed += 1
    print(f"{name}: {passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0

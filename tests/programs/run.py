#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unmodified Debian programs under Lyrebird, compared with the peer.

Runs every case of cases/*.toml inside the guest root: once by the peer
(remembered in build/programs), once by the emulator; standard output, standard
error and exit status have to be the same. README.md describes a case.

The peer is QEMU for arm64, and this machine itself for amd64 and i386 (--arch).
"""

import argparse
import concurrent.futures
import difflib
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import asdict, dataclass, field

import sandbox

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SKIPPED = 77
TRIPLET = "aarch64-linux-gnu"  # as cases write it
PER_LINUX32 = 8  # uname says i686, as that of lyrebird-i386


@dataclass
class Arch:
    emulator: str
    triplet: str  # of Debian's library folders
    native: bool  # this machine runs such programs itself
    persona: int = 0  # .. with this personality(2)


ARCHS = {
    "arm64": Arch("lyrebird-aarch64", TRIPLET, False),
    "amd64": Arch("lyrebird-x86_64", "x86_64-linux-gnu", True),
    "i386": Arch("lyrebird-i386", "i386-linux-gnu", True, PER_LINUX32),
}


@dataclass
class Case:
    name: str
    run: str  # a command; its first word is looked up in the guest's PATH
    stdin: str = ""
    files: list[str] = field(default_factory=list)  # of guest/, copied into the working directory
    filter: list[list[str]] = field(default_factory=list)  # [regular expression, what to put there]
    judge: str = "same"  # as the peer; "success": exit status 0; "status": the peer's exit status
    status: int = 0  # what the peer has to end with, else the case itself is broken
    timeout: float = 120
    full: bool = False  # only with --full


@dataclass
class Outcome:
    status: int | None  # None: timed out
    stdout: str
    stderr: str

    def ending(self) -> str:
        if self.status is None:
            return "timed out"
        return f"killed by {signal.Signals(-self.status).name}" if self.status < 0 else f"exit status {self.status}"


def load(folder: pathlib.Path, arch: str) -> list[Case]:
    cases = []
    for path in sorted(folder.glob("*.toml")):
        data = tomllib.loads(path.read_text().replace(TRIPLET, ARCHS[arch].triplet))
        defaults = data.get("defaults", {})
        for name, value in data["cases"].items():
            value = {"run": value} if isinstance(value, str) else value
            if arch not in value.pop("archs", ARCHS):
                continue
            cases.append(Case(name=f"{path.stem}/{name}", **(defaults | value)))
    return cases


class Runner:
    def __init__(self, options):
        self.root = pathlib.Path(options.root).resolve()
        self.emulator = shlex.split(options.emulator)
        self.binfmt = options.binfmt
        self.persona = ARCHS[options.arch].persona
        self.scale = options.timeout_scale
        folder = sandbox.work_folder() if sandbox.inside() else tempfile.mkdtemp(prefix="lyrebird-programs.")
        self.work = pathlib.Path(folder)
        self.box = None
        self.why_no_peer = "this machine does not permit new namespaces"
        if sandbox.inside():
            try:
                native = ARCHS[options.arch].native
                self.box = sandbox.Sandbox(self.root, native)
                if native:
                    return
                # P keeps argv[0]; Lyrebird's own entry, like most, does without.
                self.box.register("qemu-aarch64", "OCF" if options.binfmt else "OCFP")
            except (sandbox.Refused, OSError) as error:
                self.box, self.why_no_peer = None, str(error)

    def close(self):
        shutil.rmtree(self.work, ignore_errors=True)

    def find(self, program: str) -> str:
        """The guest path of a program."""
        if program.startswith("/"):
            return program
        for folder in PATH.split(":"):
            if os.path.lexists(self.root / folder[1:] / program):
                return f"{folder}/{program}"
        raise FileNotFoundError(f"{program} is not in {self.root}")

    def run(self, case: Case, peer: bool) -> Outcome:
        cwd = self.work / case.name.replace("/", "_")
        shutil.rmtree(cwd, ignore_errors=True)
        cwd.mkdir()
        for name in case.files:
            shutil.copy(HERE / "guest" / name, cwd)
        argv = shlex.split(case.run)
        program = self.find(argv[0])
        env = {"PATH": PATH, "HOME": str(cwd), "LANG": "C.UTF-8", "TZ": "UTC", "TERM": "dumb", "TMPDIR": str(cwd)}
        if peer or self.binfmt:
            start = dict(args=argv, executable=program)
        else:
            inside = os.path.join(self.root, program[1:])
            start = dict(args=[*self.emulator, "-L", str(self.root), "-0", argv[0], inside, *argv[1:]])
        if self.box:
            start["preexec_fn"] = self.box.child(str(cwd), peer or self.binfmt, self.persona if peer else 0)
        p = subprocess.Popen(**start, cwd=cwd, env=env, start_new_session=True, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = p.communicate(case.stdin.encode(), case.timeout * (1 if peer else self.scale))
            status = p.returncode
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            status = None
            try:
                out, err = p.communicate(timeout=5)
            except subprocess.TimeoutExpired as still:  # a child of its own session holds the pipe
                out, err = still.stdout or b"", still.stderr or b""
        shutil.rmtree(cwd, ignore_errors=True)
        return Outcome(status, self.filtered(case, out), self.filtered(case, err))

    @staticmethod
    def filtered(case: Case, output: bytes) -> str:
        text = output.decode(errors="backslashreplace")
        text = re.sub(r"^qemu: uncaught target signal .*\n", "", text, flags=re.M)  # the peer's own remark
        for pattern, replacement in case.filter:
            text = re.sub(pattern, replacement, text, flags=re.M)
        return text


class PeerMemory:
    """What the peer answered, kept by everything it depends on."""

    def __init__(self, root: pathlib.Path, binfmt: bool, native: bool):
        version = f"{os.uname()} native" if native else \
            subprocess.run(["qemu-aarch64", "--version"], capture_output=True, text=True).stdout
        key = pathlib.Path(f"{root}.key")
        self.common = version + (key.read_text() if key.exists() else str(root)) + " binfmt" * binfmt
        self.folder = TREE / "build" / "programs"

    def path(self, case: Case) -> pathlib.Path:
        about = json.dumps([self.common, asdict(case)])
        about += "".join((HERE / "guest" / name).read_text() for name in case.files)
        return self.folder / f"{case.name.replace('/', '_')}-{hashlib.sha256(about.encode()).hexdigest()[:12]}.json"

    def get(self, case: Case) -> Outcome | None:
        path = self.path(case)
        return Outcome(**json.loads(path.read_text())) if path.exists() else None

    def put(self, case: Case, outcome: Outcome) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path(case).write_text(json.dumps(asdict(outcome)))


def difference(want: Outcome, got: Outcome) -> str:
    lines = [] if want.status == got.status else [f"{got.ending()}; the peer: {want.ending()}"]
    for name in ("stdout", "stderr"):
        a, b = getattr(want, name).splitlines(), getattr(got, name).splitlines()
        if a != b:
            changed = [x for x in difflib.unified_diff(a, b, lineterm="", n=0) if not x.startswith(("---", "+++"))]
            lines += [f"{name} (- the peer, + here):"] + ["  " + x[:150] for x in changed[:8]]
    return "\n    ".join(lines)


def ask_peer(case: Case, runner: Runner, memory: PeerMemory) -> Outcome:
    answer = memory.get(case)
    if answer is None:
        answer = runner.run(case, peer=True)
        if answer.status == case.status:
            memory.put(case, answer)
    return answer


def judge(case: Case, runner: Runner, memory: PeerMemory, as_peer: bool) -> tuple[str, str]:
    """("pass" | "fail" | "broken", why)"""
    want = None
    if runner.box and (case.judge != "success" or as_peer):
        want = ask_peer(case, runner, memory)
        if want.status != case.status and (case.judge != "success" or as_peer):
            return "broken", f"the peer: {want.ending()}\n    " + (want.stdout + want.stderr)[-600:]
    if as_peer:
        return "pass", ""
    got = runner.run(case, peer=False)
    if want is None or case.judge == "success":
        tail = "\n    ".join((got.stdout + got.stderr).strip().splitlines()[-8:])
        return ("pass", "") if got.status == case.status else ("fail", f"{got.ending()}\n    {tail}")
    if case.judge == "status":
        want = Outcome(want.status, "", "")
        got = Outcome(got.status, "", got.stderr if got.status != want.status else "")
    return ("pass", "") if want == got else ("fail", difference(want, got))


def options_from(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--arch", choices=ARCHS, default="arm64")
    p.add_argument("--emulator", default="",
                   help="takes -L ROOT -0 ARGV0 PROGRAM ARGS (default: build/release/lyrebird-ARCH); "
                        "'peer' only runs the peer, to try the cases")
    p.add_argument("--root", default="", help="(default: build/payload/ARCH)")
    p.add_argument("--cases", default=str(HERE / "cases"), metavar="DIR", help="the folder with the cases")
    p.add_argument("--only", default="", metavar="REGEX", help="only cases whose name matches")
    p.add_argument("--binfmt", action="store_true",
                   help="inside the root, with `lyrebird binfmt register`, instead of -L ROOT from outside")
    p.add_argument("--full", action="store_true", help="the long cases as well")
    p.add_argument("--list", action="store_true", help="only name the cases")
    p.add_argument("-j", "--jobs", type=int, default=2)
    p.add_argument("--timeout-scale", type=float, default=1, metavar="X")
    p.add_argument("-v", "--verbose", action="store_true", help="name and time every case")
    options = p.parse_args(argv)
    options.emulator = options.emulator or str(TREE / "build/release" / ARCHS[options.arch].emulator)
    options.root = options.root or str(TREE / "build/payload" / options.arch)
    return options


def main() -> int:
    options = options_from(sys.argv[1:])
    cases = [c for c in load(pathlib.Path(options.cases), options.arch) if re.search(options.only, c.name) and (options.full or not c.full)]
    if options.list:
        print("\n".join(f"{c.name:32} {c.run[:90]}" for c in cases))
        return 0
    if not os.path.isdir(options.root):
        print(f"skipped: no guest root at {options.root}; ./dev payload {options.arch} makes one")
        return SKIPPED
    as_peer = options.emulator == "peer"
    if not as_peer and not os.access(shlex.split(options.emulator)[0], os.X_OK):
        print(f"programs: {options.emulator} is not there; build it with ./dev build, or give --emulator")
        return 1
    # A shell that starts us in the background has it ignored, and the guests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sandbox.enter()
    runner = Runner(options)
    memory = PeerMemory(runner.root, options.binfmt, ARCHS[options.arch].native)
    if not runner.box:
        print(f"the peer cannot be compared ({runner.why_no_peer}): only exit statuses are judged")
    if options.binfmt and not as_peer:
        if not runner.box:
            runner.close()
            print("skipped: binfmt_misc needs what is refused here")
            return SKIPPED
        for case in cases:  # one handler at a time: first all that the peer has to answer
            if case.judge != "success":
                ask_peer(case, runner, memory)
        emulator = pathlib.Path(runner.emulator[0]).resolve().parent
        runner.box.register_by([str(emulator / "lyrebird"), "binfmt", "register", str(emulator)])
    counts = {"pass": 0, "fail": 0, "broken": 0}

    def one(case):
        start = time.monotonic()
        try:
            return case, *judge(case, runner, memory, as_peer), time.monotonic() - start
        except FileNotFoundError as error:
            return case, "broken", str(error), 0

    try:
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for done in concurrent.futures.as_completed([pool.submit(one, c) for c in cases]):
                case, verdict, why, seconds = done.result()
                counts[verdict] += 1
                if verdict != "pass":
                    print(f"{verdict.upper()} {case.name} ({seconds:.1f} s): {case.run[:100]!r}\n    {why}", flush=True)
                elif options.verbose:
                    print(f"pass {case.name} ({seconds:.1f} s)", flush=True)
    finally:
        runner.close()
    broken = f", {counts['broken']} broken cases" if counts["broken"] else ""
    print(f"programs: {counts['pass']} passed, {counts['fail']} failed{broken}")
    return 0 if counts["pass"] and not counts["fail"] + counts["broken"] else 1


if __name__ == "__main__":
    sys.exit(main())

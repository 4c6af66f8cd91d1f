#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Valgrind 3.19's none/tests/ARCH: programs which print the result of every
instruction they know, and what real hardware printed (.stdout.exp).

For x86 guests on an x86 host a program also passes when it prints what it
prints natively: the records are Intel's, and some are of machines which have
what ours has not (TSX, MPX, FMA4). `--record` leaves this out. Flags that the
manual leaves undefined are AMD's; on other hosts they do not count (UNDEFINED).
"""

import difflib
import pathlib
import re
import signal
import subprocess
import sys

import suite

FOLDERS = {"aarch64": "arm64", "x86_64": "amd64", "i386": "x86"}

# From those folders' Makefile.am.
FLAGS = {
    "crc32": ["-march=armv8-a+crc"],
    "atomics_v81": ["-march=armv8.1-a"],
    "simd_v81": ["-march=armv8.1-a+crypto"],
    "fp_and_simd": ["-march=armv8-a+crypto"],
    "fp_and_simd_v82": ["-march=armv8.2-a+fp16+crypto"],
    "integer": ["-O0", "-DTEST_BFM=0"],
}


# Four of the 29,511 lines recorded for fp_and_simd contradict the manual, and
# these words stand in their place: (start of the line, recorded, by the manual).
BY_THE_MANUAL = [
    # FMLS multiplies and adds with one rounding (FPMulAdd); the record has two.
    ("fmls v2.2s, v11.2s, v29.s[3]   062f5c36", "176be12641aeda7c", "176be12541aeda7c"),
    # FCVTXN rounds to odd (FPRoundCV, FPRounding_ODD): a tiny inexact result is the
    # smallest denormal, never zero; an overflow is the largest number, never infinity.
    ("fcvtxn s10, d21   6703e8d6", "00000000000000000000000000000000", "00000000000000000000000000000001"),
    ("fcvtxn  v10.2s, v21.2d   d2dcb2a5", "190a948900000000", "190a948900000001"),
    ("fcvtxn2 v10.4s, v21.2d   af5a2896", "ff80000080000000", "ff7fffff80000001"),
]


def by_the_manual(line: str) -> str:
    for start, recorded, right in BY_THE_MANUAL:
        if line.startswith(start):
            return line.replace(recorded, right)
    return line


AF, PF, SF, OF = 0x10, 0x04, 0x80, 0x800
# Of lines that end in the flags, those which the manual leaves undefined.
UNDEFINED = [
    (re.compile(r"(andn|bls[ri]|blsmsk|bzhi)(32|64) "), AF | PF),
    (re.compile(r"bextr(32|64) "), AF | PF | SF),
    (re.compile(r"lzcnt[wlq] "), AF | PF | SF | OF),
]
# Without TSX, which no model of ours has, XBEGIN is an undefined instruction.
NEED_TSX = {"tm1"}


def without_undefined(line: str) -> str:
    for start, flags in UNDEFINED:
        if start.match(line):
            return f"{line[:-4]}{int(line[-4:], 16) & ~flags:04x}"
    return line


X86_FLAGS = {
    "amd64locked": ["-O"], "x86locked": ["-O"], "fb_test_amd64": ["-O", "-fno-strict-aliasing"],
    "fpu_lazy_eflags": ["-O2", "-march=pentiumpro"],
}


def differences(result: suite.Result, expected: bytes, fix, count: int) -> str | None:
    if result.status is None or result.status < 0:  # other than by a signal, how it ended is not recorded
        return result.why()
    want = [fix(by_the_manual(line)) for line in expected.decode(errors="replace").splitlines()]
    got = [fix(line) for line in result.stdout.decode(errors="replace").splitlines()]
    if want == got:
        return None
    differing = [line for line in difflib.unified_diff(want, got, lineterm="", n=0)
                 if re.match(r"[-+](?![-+])", line)]
    shown = "".join("\n     " + line[:160] for line in differing[:count])
    return f"{len(differing)} lines of the difference to {len(want)} expected lines{shown}"


def same_as(records: list[bytes], fix=lambda line: line):
    def check(result: suite.Result) -> str | None:
        reasons = [differences(result, record, fix, 8) for record in records]
        return None if None in reasons else reasons[0]
    return check


def as_native(case: suite.Case, options, by_record, counted: list[str]):
    """By the record, or else exactly what this machine does."""
    def check(result: suite.Result) -> str | None:
        reason = by_record(result)
        if reason is None or options.record:
            return reason
        native = suite.natively(case, options)
        if (result.status, result.stdout) != (native.status, native.stdout):
            return f"natively {native.why()}; by the record: {reason}" if by_record(native) else reason
        counted.append(case.name)
        return None
    return check


def arm64_case(test: pathlib.Path, prog: str, flags: list[str], records: list[bytes], options) -> suite.Case:
    return suite.Case(name=test.stem, sources=[test.parent / f"{prog}.c"],
                      flags=["-static", "-O", "-g0", "-w", *flags, *FLAGS.get(prog, [])], libs=["-lm"],
                      check=same_as(records))


def x86_sources(folder: pathlib.Path, prog: str, config: pathlib.Path) -> list[pathlib.Path]:
    """prog's sources; those of instruction tables (.def) are written by their own generator."""
    table = folder / f"{prog}.def"
    if prog == "cpuid":
        return [folder / "cpuid_c.c", folder / "cpuid_s.S"]
    if not table.exists():
        return [folder / f"{prog}.c"]
    made = config / folder.name / f"{prog}.c"
    made.parent.mkdir(exist_ok=True)
    made.write_bytes(subprocess.run(["perl", folder / "gen_insn_test.pl"], stdin=table.open(),
                                    stdout=subprocess.PIPE, check=True).stdout)
    return [made]


def x86_case(test: pathlib.Path, prog: str, flags: list[str], records: list[bytes], options,
             config: pathlib.Path, counted: list[str]) -> suite.Case:
    flags = ["-static", "-no-pie", "-fno-pie", "-g0", "-w", "-mmmx", "-msse", "-DVGO_linux=1",
             f"-DVGA_{test.parent.name}=1", f"-DVGP_{test.parent.name}_linux=1", f"-I{test.parent}", *flags]
    case = suite.Case(name=test.stem, sources=x86_sources(test.parent, prog, config),
                      flags=flags + X86_FLAGS.get(prog, []), libs=["-lm", "-lpthread"])
    hide = "filter_cpuid" in test.read_text()
    fix = (lambda line: re.sub("0x[0-9A-Fa-f]+", "0x........", line)) if hide else \
        (lambda line: line) if suite.is_amd() else without_undefined
    case.check = as_native(case, options, same_as(records, fix), counted)
    if prog in NEED_TSX and "-cpu" in options.cpu:
        case.check = lambda result: None if result.status == -signal.SIGILL else result.why()
    return case


def main() -> int:
    p = suite.parser(__doc__)
    p.add_argument("--record", action="store_true", help="only what is recorded counts")
    options = suite.parse(p)
    options.record |= not options.native
    tree = suite.source("valgrind", "none/tests", "tests", "include", "VEX/pub")
    folder = tree / "none/tests" / FOLDERS[options.target]
    # What its configure script would have found out for Debian 12.
    config = suite.BUILD / "valgrind-config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "config.h").write_text("#define HAVE_MEMALIGN 1\n")
    flags = [f"-I{tree}", f"-I{tree}/include", f"-I{tree}/VEX/pub", f"-I{config}"]
    cases, counted = [], []
    for test in sorted(folder.glob("*.vgtest")):
        prog = pathlib.Path(re.search(r"^prog:\s*(\S+)", test.read_text(), re.M)[1]).name
        records = [record.read_bytes() for record in sorted(folder.glob(f"{test.stem}.stdout.exp*"))]
        if options.target == "aarch64":
            cases.append(arm64_case(test, prog, flags, records, options))
        else:
            cases.append(x86_case(test, prog, flags, records, options, config, counted))
    status = suite.run_cases("valgrind", cases, options)
    if counted:
        print(f"{len(counted)} of these as natively, not by the record: {' '.join(sorted(counted))}")
    return status


if __name__ == "__main__":
    sys.exit(main())

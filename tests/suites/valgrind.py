#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Valgrind 3.19's none/tests/arm64: programs which print the result of every
instruction they know, and what real hardware printed (.stdout.exp)."""

import difflib
import re
import sys

import suite

# From that folder's Makefile.am.
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


def same_as(expected: bytes):
    def check(result: suite.Result) -> str | None:
        if result.status != 0:
            return result.why()
        want = [by_the_manual(line) for line in expected.decode().splitlines()]
        got = result.stdout.decode(errors="replace").splitlines()
        if want == got:
            return None
        differing = [line for line in difflib.unified_diff(want, got, lineterm="", n=0)
                     if re.match(r"[-+](?![-+])", line)]
        shown = "".join("\n     " + line[:160] for line in differing[:8])
        return f"{len(differing)} lines of the difference to {len(want)} expected lines{shown}"
    return check


def main() -> int:
    options = suite.parser(__doc__).parse_args()
    tree = suite.source("valgrind", "none/tests", "tests", "include", "VEX/pub")
    folder = tree / "none/tests/arm64"
    # What its configure script would have found out for Debian 12.
    config = suite.BUILD / "valgrind-config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "config.h").write_text("#define HAVE_MEMALIGN 1\n")
    cases = []
    for test in sorted(folder.glob("*.vgtest")):
        prog = re.search(r"^prog:\s*(\S+)", test.read_text(), re.M)[1]
        flags = ["-static", "-O", "-g0", "-w", f"-I{tree}", f"-I{tree}/include", f"-I{tree}/VEX/pub",
                 f"-I{config}"]
        cases.append(suite.Case(
            name=test.stem, sources=[folder / f"{prog}.c"], flags=flags + FLAGS.get(prog, []), libs=["-lm"],
            check=same_as(test.with_suffix(".stdout.exp").read_bytes())))
    return suite.run_cases("valgrind", cases, options)


if __name__ == "__main__":
    sys.exit(main())

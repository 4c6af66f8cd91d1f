#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""GCC 12's C torture tests, execute and execute/ieee: 1,653 programs which
abort when they see a wrong value. Linked statically by the cross compiler.

Some files need what this target has not (nested functions on an executable
stack, other data models) or do not compile at all; --same-as PEER gives a
second emulator and counts a file as passed when both end in the same way
(--same-as env: as natively).
"""

import shlex
import sys

import suite


def main() -> int:
    p = suite.parser(__doc__)
    p.add_argument("--opt", default="-O1", help="optimisation level (default -O1)")
    p.add_argument("--same-as", metavar="PEER", help="judge by the exit status under this emulator")
    options = suite.parse(p)
    tree = suite.source("gcc-12-source", "gcc/testsuite/gcc.c-torture")
    folder = tree / "gcc/testsuite/gcc.c-torture/execute"
    flags = [options.opt, "-static", "-w", "-fno-diagnostics-show-caret"]
    cases = []
    for path in sorted([*folder.glob("*.c"), *folder.glob("ieee/*.c")]):
        ieee = path.parent.name == "ieee"
        case = suite.Case(name=str(path.relative_to(folder))[:-2], sources=[path], libs=["-lm"],
                          flags=flags + (["-fno-inline"] if ieee else []) + dg_options(path))
        if options.same_as:
            case.check = same_end(case, options)
        cases.append(case)
    cases = [c for c in cases if options.only in c.name][:: options.every]
    options.every = 1
    compiled = [c for c in cases if suite.build(c, options.compiler)[0]] if options.jobs == 1 else \
        compile_all(cases, options)
    print(f"{len(compiled)} of {len(cases)} files compile at {options.opt}", flush=True)
    return suite.run_cases("ctorture", compiled, options)


def compile_all(cases, options):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(options.jobs) as pool:
        built = list(pool.map(lambda c: suite.build(c, options.compiler)[0], cases))
    return [c for c, program in zip(cases, built) if program]


def dg_options(path) -> list[str]:
    """The file's own { dg-options "..." } and { dg-additional-options "..." }, when unconditional."""
    import re
    found = re.findall(r'dg-(?:additional-)?options\s+(?:\{\s*)?"([^"]*)"\s*\}', path.read_text(errors="replace"))
    return [flag for flags in found for flag in shlex.split(flags)]


def same_end(case, options):
    def check(result: suite.Result) -> str | None:
        if options.same_as == suite.NATIVE:
            peer = suite.natively(case, options)
        else:
            program, _ = suite.build(case, options.compiler)
            peer = suite.run([*shlex.split(options.same_as), str(program)], options.timeout, "/")
        return None if peer.status == result.status else f"{result.why()}; the peer: {peer.why()}"
    return check


if __name__ == "__main__":
    sys.exit(main())

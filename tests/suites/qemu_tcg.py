#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peer's own AArch64 user-mode programs: tests/tcg/aarch64 and
tests/tcg/multiarch of its source package, built at -O0 as its Makefiles do.

Programs for MTE, SVE2 and SME are left out: Lyrebird reports these absent.
"""

import sys

import suite

# name: extra flags, beside the makefile's; all are linked with -lm -lpthread -lrt.
AARCH64 = {
    "fcvt": [], "pcalign-a64": [], "test-2150": [], "test-2248": [],
    "pauth-1": ["-march=armv8.3-a"], "pauth-2": ["-march=armv8.3-a"],
    "pauth-4": ["-march=armv8.3-a"], "pauth-5": ["-march=armv8.3-a"],
    "bti-1": ["-fno-stack-protector", "-mbranch-protection=standard", "-nostdlib"],
    "bti-2": [],
    "bti-3": ["-fno-stack-protector", "-mbranch-protection=standard", "-nostdlib"],
    "sysregs": [], "sve-ioctls": ["-march=armv8.1-a+sve"],
}
MULTIARCH = ["float_convd", "float_convs", "float_madds", "munmap-pthread", "overflow", "sha1", "sha512",
             "sigbus", "signals", "tb-link", "test-mmap", "testthread", "threadcount", "linux/linux-madvise",
             "linux/linux-test"]


def same_as(reference):
    want = reference.read_text().splitlines()

    def check(result: suite.Result) -> str | None:
        if result.status != 0:
            return result.why()
        got = result.stdout.decode(errors="replace").splitlines()
        if got == want:
            return None
        at = next((i for i, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
        return f"line {at + 1} of {len(want)}: expected {want[at:at + 1]}, got {got[at:at + 1]}"
    return check


def main() -> int:
    options = suite.parser(__doc__).parse_args()
    tree = suite.source("qemu", "tests/tcg", "include") / "tests/tcg"
    flags = ["-static", "-O0", "-g", "-w", "-fno-strict-aliasing"]
    libs = ["-lm", "-lpthread", "-lrt"]

    def case(name, path, extra=(), sources=(), cpu=()):
        reference = tree / "aarch64" / f"{name}.ref"
        check = same_as(reference) if reference.exists() else suite.exits_with_zero
        return suite.Case(name=name, sources=[path, *sources], flags=[*flags, *extra], libs=libs, check=check,
                          emulator_args=list(cpu))

    def folder_of(name):
        return tree / ("arm" if name == "fcvt" else "aarch64")

    cases = []
    for name, extra in AARCH64.items():
        cpu = ["-cpu", "max"] if name.startswith("pauth") else []
        cases.append(case(name, folder_of(name) / f"{name}.c", extra, cpu=cpu))
    for name in MULTIARCH:
        sources = [tree / "multiarch/libs/float_helpers.c"] if name.startswith("float_") else []
        cases.append(case(name.split("/")[-1], tree / "multiarch" / f"{name}.c", sources=sources))
    for name in ("sha1", "sha512"):
        cases.append(case(f"{name}-vector", tree / "multiarch" / f"{name}.c", ["-O3"]))
    cases.append(case("semihosting", tree / "multiarch/arm-compat-semi/semihosting.c", [f"-I{tree}/aarch64"]))
    return suite.run_cases("qemu_tcg", cases, options)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peer's own user-mode programs: tests/tcg/multiarch and tests/tcg/aarch64,
x86_64 or i386 of its source package, built at -O0 as its Makefiles do.

Programs for MTE, SVE2 and SME are left out: Lyrebird reports these absent; so is
the one for 3DNow!, which x86 processors have not had since 2010. What prints
results without a record has to print what it prints on this machine itself, but
for SHLD and SHRD by more than the 16 bits there are: these results are undefined,
and ours are AMD's.
"""

import re
import subprocess
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


# name: extra flags; of tests/tcg/i386. test-i386-bmi2 and -adcox adapt to the data model.
X86 = {"test-i386-adcox": ["-O2"], "test-i386-bmi2": ["-O2"]}
I386 = {
    "hello-i386": ["-ffreestanding", "-fno-stack-protector", "-nostdlib"],
    "test-i386": ["-fno-pie", "-no-pie"],
    "test-i386-pcmpistri": ["-msse4.2"],
    "test-i386-sse-exceptions": ["-msse4.1", "-mfpmath=sse"],
    **{f"test-i386-{name}": [] for name in (
        "f2xm1", "fbstp", "fisttp", "fldcst", "fp-exceptions", "fpatan", "fscale", "fxam", "fxtract",
        "fyl2x", "fyl2xp1", "pseudo-denormal", "snan-convert")},
}
X86_64 = {"test-i386-ssse3": [], "test-mmx": ["-masm=intel", "-O"], "test-avx": ["-mavx", "-masm=intel", "-O"]}
# What the generators of two programs are asked for: the script, then its arguments.
GENERATED = {"test-mmx": ["test-mmx.py", "MMX", "SSE", "SSE2", "SSE3", "SSSE3"], "test-avx": ["test-avx.py"]}
# Those judged by their output: the others find their mistakes themselves, or have a record.
SHOWING = {"test-i386", "test-x86_64", "test-i386-fprem", "test-i386-ssse3", "test-mmx", "test-avx", "hello-i386"}


class Suite:
    def __init__(self, options):
        self.options = options
        self.tree = suite.source("qemu", "tests/tcg", "include") / "tests/tcg"
        self.cases = []

    def add(self, name, path, extra=(), sources=(), check=suite.exits_with_zero, args=()):
        case = suite.Case(name=name, sources=[path, *sources],
                          flags=["-static", "-O0", "-g", "-w", "-fno-strict-aliasing", *extra],
                          libs=[] if "-nostdlib" in extra else ["-lm", "-lpthread", "-lrt"], check=check,
                          emulator_args=list(args))
        if name in SHOWING and self.options.native:
            case.check = lambda result: as_natively(result, suite.natively(case, self.options))
        self.cases.append(case)

    def multiarch(self):
        for name in MULTIARCH:
            helpers = [self.tree / "multiarch/libs/float_helpers.c"] if name.startswith("float_") else []
            record = self.tree / self.options.target / f"{name}.ref"
            self.add(name.split("/")[-1], self.tree / "multiarch" / f"{name}.c", sources=helpers,
                     check=same_as(record) if record.exists() else suite.exits_with_zero)

    def aarch64(self):
        for name, extra in AARCH64.items():
            record = self.tree / "aarch64" / f"{name}.ref"
            self.add(name, self.tree / ("arm" if name == "fcvt" else "aarch64") / f"{name}.c", extra,
                     check=same_as(record) if record.exists() else suite.exits_with_zero,
                     args=["-cpu", "max"] if name.startswith("pauth") else [])
        for name in ("sha1", "sha512"):
            self.add(f"{name}-vector", self.tree / "multiarch" / f"{name}.c", ["-O3"])
        self.add("semihosting", self.tree / "multiarch/arm-compat-semi/semihosting.c", [f"-I{self.tree}/aarch64"])

    def of_i386(self, table):
        for name, extra in table.items():
            if name in GENERATED:
                extra = [*extra, f"-I{self.generate(name)}"]
            code = [self.tree / f"i386/test-i386-{part}.S" for part in ("code16", "vm86")]
            self.add(name, self.tree / "i386" / f"{name}.c", extra, sources=code if name == "test-i386" else ())

    def generate(self, name):
        folder = suite.BUILD / "qemu-generated"
        folder.mkdir(parents=True, exist_ok=True)
        script, *sets = GENERATED[name]
        subprocess.run([sys.executable, self.tree / "i386" / script, self.tree / "i386/x86.csv",
                        folder / f"{name}.h", *sets], check=True)
        return folder

    def i386(self):
        self.of_i386({**X86, **I386, **({"test-i386-fprem": []} if self.options.slow else {})})
        self.add("sha512-sse", self.tree / "multiarch/sha512.c", ["-msse4.1", "-O3"])

    def x86_64(self):
        self.of_i386({**X86, **X86_64})
        self.add("test-x86_64", self.tree / "i386/test-i386.c")
        for name in ("vsyscall", "noexec", "cmpxchg"):
            self.add(name, self.tree / "x86_64" / f"{name}.c", [f"-I{self.tree}/multiarch"])


def is_undefined(line: str) -> bool:
    shift = re.match(r"sh[lr]dw .* C=([0-9a-f]+) ", line)
    return bool(shift) and int(shift[1], 16) % 32 > 16 and not suite.is_amd()


def as_natively(result: suite.Result, native: suite.Result) -> str | None:
    if result.status != native.status:
        return f"{result.why()}; natively {native.why()}"
    want, got = ([line for line in r.stdout.decode(errors="replace").splitlines() if not is_undefined(line)]
                 for r in (native, result))
    at = [i for i, (a, b) in enumerate(zip(want, got)) if a != b]
    if not at and len(want) == len(got):
        return None
    first = at[0] if at else min(len(want), len(got))
    return f"{len(at)} of {len(want)} lines, first {first + 1}: natively {want[first:first + 1]}, {got[first:first + 1]}"


def main() -> int:
    p = suite.parser(__doc__)
    p.add_argument("--slow", action="store_true", help="i386: test-i386-fprem too, which takes minutes")
    options = suite.parse(p)
    programs = Suite(options)
    programs.multiarch()
    getattr(programs, options.target)()
    return suite.run_cases("qemu_tcg", programs.cases, options)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""profile.py BUILD PAYLOADS OUT: runs programs of three guests under an instrumented build (CMake's
LYREBIRD_COUNT), each without and then with translations on disk, and writes which way the hottest
functions went as clang's profile OUT."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

GUESTS = {
    "aarch64": ("arm64", "aarch64-linux-gnu"),
    "x86_64": ("amd64", "x86_64-linux-gnu"),
    "i386": ("i386", "i686-linux-gnu"),
}
SCRIPTS = Path("bench/guest/scripts").resolve()
PROGRAMS = [
    ["usr/bin/python3", "-c", "pass"],
    ["usr/bin/perl", SCRIPTS / "script.pl", "1000"],
    ["usr/bin/openssl", "dgst", "-sha256", SCRIPTS / "small.c"],
    ["usr/lib/gcc/{triple}/12/cc1", "-quiet", "-O2", "-o", "/dev/null", SCRIPTS / "small.c"],
    ["usr/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=20000", "status=none"],
]
PROFDATA = "llvm-profdata-19"
KEPT = 0.999  # of all counts: the rest is most of the file's size


def run(build, payloads, counts):
    for guest, (architecture, triple) in GUESTS.items():
        root = payloads / architecture
        for program, *args in PROGRAMS:
            path = root / program.format(triple=triple)
            with tempfile.TemporaryDirectory() as cache:
                # %c: the counters are the file's, mapped, so that no exit of a guest's can lose them.
                env = os.environ | {"LYREBIRD_CACHE": cache, "LLVM_PROFILE_FILE": f"{counts}/{guest}-%p%c.profraw"}
                for start in "cold", "warm":
                    print(f"{guest} {path.name} {start}", flush=True)
                    command = [build / f"lyrebird-{guest}", "-L", root, path, *args]
                    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)


def functions(text):
    """Of a profile as text: (name, hash, counters) of each function."""
    for entry in text.split("\n\n"):
        lines = [line for line in entry.splitlines() if line and line[0] not in "#:"]
        if len(lines) > 3:
            yield lines[0], lines[1], [int(line) for line in lines[3 : 3 + int(lines[2])]]


def hottest(entries):
    """The functions which have KEPT of all counts, the hottest first."""
    entries = sorted(entries, key=lambda entry: -sum(entry[2]))
    left = KEPT * sum(sum(counters) for *_, counters in entries)
    for name, code, counters in entries:
        if left <= 0:
            return
        left -= sum(counters)
        yield "\n".join([name, code, str(len(counters)), *map(str, counters)])


def main():
    build, payloads, out = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as counts:
        run(build.resolve(), payloads.resolve(), counts)
        raw = sorted(Path(counts).iterdir())
        text = Path(counts, "all")
        subprocess.run([PROFDATA, "merge", "--text", "--sparse", "-o", text, *raw], check=True)
        kept = list(hottest(functions(text.read_text())))
        text.write_text("\n\n".join([":ir", *kept]) + "\n")
        subprocess.run([PROFDATA, "merge", "-o", out, text], check=True)
    print(f"{len(kept)} functions, {out.stat().st_size // 1024} KiB")


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The second run of a program translates nothing, and no damage to the files changes what it does.
usage: run.py LYREBIRD-AARCH64 PROGRAM"""
import os, re, subprocess, sys, tempfile

emulator, program = sys.argv[1:3]
if not os.path.exists(program):
    sys.exit(77)
failures = 0


def run(directory, **more):
    environment = dict(os.environ, LYREBIRD_CACHE_DIR=directory, LYREBIRD_STATS="1", **more)
    environment.pop("LYREBIRD_CACHE", None) if "LYREBIRD_CACHE" not in more else None
    done = subprocess.run([emulator, program], env=environment, capture_output=True, text=True, timeout=120)
    # The program's own process comes last.
    count = lambda name: [int(n.replace(" ", "")) for n in re.findall(name + r" +([\d ]+)\n", done.stderr)]
    return done.returncode, done.stdout, (count("blocks found") or [0])[-1], (count("not there") or [0])[-1]


def check(what, good):
    global failures
    failures += not good
    print(("ok    " if good else "FAILED ") + what)


with tempfile.TemporaryDirectory() as top:
    cache = os.path.join(top, "cache")
    off = run(cache, LYREBIRD_CACHE="off")
    check("off: no directory", not os.path.exists(cache) and off[2] == 0)
    cold = run(cache)
    warm = run(cache)
    check(f"cold: {cold[2]} found, {cold[3]} not", cold[:2] == off[:2] and cold[3] > 100)
    check(f"warm: {warm[2]} found, {warm[3]} not", warm[:2] == off[:2] and warm[2] > 100 and warm[3] * 50 < warm[2])
    files = [os.path.join(cache, n) for n in os.listdir(cache) if n.endswith((".lyc", ".lyi"))]
    good = {f: open(f, "rb").read() for f in files}
    for f, data in good.items():
        open(f, "wb").write(data[: len(data) // 2])
    check("cut in half", run(cache)[:2] == off[:2])
    for f, data in good.items():
        open(f, "wb").write(bytes(b ^ (i % 97 == 0) for i, b in enumerate(data)))
    check("damaged everywhere", run(cache)[:2] == off[:2])
    for f, data in good.items():
        open(f, "wb").write(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :])
    check("one byte changed", run(cache)[:2] == off[:2])
    mended = run(cache)
    check(f"mended: {mended[2]} found, {mended[3]} not", mended[:2] == off[:2] and mended[3] * 50 < mended[2])
    check("as another executor", run(cache, LYREBIRD_JIT="interp")[:2] == off[:2])
    watched = run(cache, LYREBIRD_LOG="exec", LYREBIRD_LOG_FILENAME=os.devnull)
    check("block by block", watched[:2] == off[:2])
    llvm = {"LYREBIRD_JIT": "llvm"}
    first, second = run(cache, **llvm), run(cache, **llvm)
    check(f"all by LLVM: {first[2]} found, {first[3]} not", first[:2] == off[:2] and first[2] == 0 and first[3] > 100)
    check(f"again: {second[2]} found, {second[3]} not",
          second[:2] == off[:2] and second[2] > 100 and second[3] * 50 < second[2])
    check("as another processor", run(cache, LYREBIRD_HOST_FEATURES="sse4.2")[:2] == off[:2])
    check("no such place", run("/proc/none")[:2] == off[:2])
    os.chmod(cache, 0o777)
    open_to_all = run(cache)
    check("open to all: not used", open_to_all[:2] == off[:2] and open_to_all[2] == 0)
sys.exit(failures != 0)

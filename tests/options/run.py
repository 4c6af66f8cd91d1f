#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py EMULATOR GUEST CASE: runs GUEST with an option that shows or bounds what the emulator does,
and looks whether what comes out makes sense. The guest's own output must never change."""
import collections
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

emulator, guest, case = sys.argv[1:]
ANSWERS = {"hot": "1775820672\n", "short": "269958183\n", "many": "3976050785\n"}
failures = 0
directory = tempfile.mkdtemp(prefix="lyrebird-options.")
log = os.path.join(directory, "log")


def run(*options, does="short", **variables):
    """What went to stderr."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LYREBIRD_")}
    environment |= {"LYREBIRD_TIER_WORTH": "0"} | variables
    done = subprocess.run([emulator, "-cache", "off", *options, guest, does], env=environment,
                          capture_output=True, text=True, timeout=300)
    check("the guest's output", done.stdout == ANSWERS[does] and done.returncode == 0, done.stdout + done.stderr[-500:])
    return done.stderr


def logged(topics, *options, **more):
    run("-d", topics, "-D", log, *options, **more)
    with open(log) as file:
        return file.read()


def check(what, good, why=""):
    global failures
    failures += not good
    print(("ok      " if good else "FAILED  ") + what + ("" if good else f"\n{why}"))


def count(report, name):
    found = re.search(rf"^ *{re.escape(name)} +([\d ]+)", report, re.M)
    return int(found[1].replace(" ", "")) if found else -1


def in_asm():
    text = logged("in_asm")
    check("blocks", len(re.findall(r"^IN: 0x[0-9a-f]+ mode=0x", text, re.M)) > 300)
    check("the loop's xor and shift", re.search(r"  0x\w+:  [0-9a-f]{8}  eor w\d+, w\d+, w\d+, lsl #(?:0xd|13)", text))


def root():
    """A root by a relative name holds for a guest in another directory, and for what that starts."""
    shutil.copy(guest, os.path.join(directory, "only-in-the-root"))
    done = subprocess.run([emulator, "-cache", "off", "-L", os.path.basename(directory), guest, "moved"],
                          cwd=os.path.dirname(directory), capture_output=True, text=True, timeout=300)
    check("the guest's output", (done.stdout, done.returncode) == (ANSWERS["short"], 0), done.stdout + done.stderr)


def ir():
    for topic in ("ir", "ir_opt", "op", "op_opt"):
        text = logged(topic, "-jit", "interp")
        blocks = re.findall(r"^block 0x([0-9a-f]+) mode=0x0 size=(\d+) count=(\d+)", text, re.M)
        check(f"{topic}: blocks", len(blocks) > 300, text[:500])
        check(f"{topic}: four bytes an instruction", all(int(size) == 4 * int(n) for _, size, n in blocks))
        check(f"{topic}: each block ends in a jump of some kind",
              len(re.findall(r"^  (?:jump|jump_indirect|branch|raise)\b", text, re.M)) >= len(blocks))


def out_asm():
    text = logged("out_asm", LYREBIRD_HOST_FEATURES="avx2")  # what every version of Capstone knows
    blocks = re.findall(r"^OUT: 0x([0-9a-f]+) mode=0x0 baseline \[size=(\d+)\]\n((?:  .*\n)+)", text, re.M)
    check("blocks", len(blocks) > 300, text[:500])
    check("no byte is left unread", "(bad)" not in text and not re.search(r":  \.?(?:db|byte) ", text))
    sound = 0
    for pc, size, body in blocks:
        at = [int(a, 16) for a in re.findall(r"^  0x([0-9a-f]+):  ", body, re.M)]
        pcs = [int(a, 16) for a in re.findall(r"^  -- guest 0x([0-9a-f]+)", body, re.M)]
        sound += at == sorted(at) and at[-1] - at[0] < int(size) and pcs[:1] == [int(pc, 16)] and pcs == sorted(pcs)
    check("each block: addresses in order, within its size; guest pcs in order from its own", sound == len(blocks),
          f"{sound} of {len(blocks)}")
    text = logged("out_asm", "-jit", "tiered", does="hot")
    check("a region of the optimising tier", re.search(r"^OUT: 0x\w+ mode=0x0 llvm \[size=\d+\]\n  0x\w+:  ", text, re.M))


def tb():
    for topic in ("tb", "exec"):
        text = logged(topic, does="many")
        pcs = [int(a, 16) for a in re.findall(r"^block 0x([0-9a-f]+) mode=0x0 \d+ instructions$", text, re.M)]
        check(f"{topic}: every block as it starts", len(pcs) >= 2 * 3 * 16384, str(len(pcs)))
        check(f"{topic}: nothing else", text.count("\n") == len(pcs))
        # Of the many functions, which are 32 bytes apart, each is entered twice.
        times = collections.Counter(pcs)
        check(f"{topic}: as often as it does", sum(times[a] == 2 and times[a + 32] == 2 for a in times) > 16000)


def perfmap():
    process = subprocess.Popen([emulator, "-cache", "off", "-perfmap", guest, "short"], stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate(timeout=300)
    path = f"/tmp/perf-{process.pid}.map"
    try:
        with open(path) as file:
            rows = [line.split() for line in file]
    finally:
        for left in glob.glob(path):
            os.remove(left)
    check("the guest's output", output == ANSWERS["short"])
    check("start, size and name", all(len(r) == 3 and r[2].startswith(("guest_", "lyrebird_")) for r in rows), str(rows[:3]))
    spans = sorted((int(r[0], 16), int(r[1], 16)) for r in rows if r[2].startswith("guest_"))
    check(f"{len(spans)} pieces of code, none within another",
          len(spans) > 300 and all(a + size <= b for (a, size), (b, _) in zip(spans, spans[1:])))


def gdbjit():
    gdb = shutil.which("gdb") or shutil.which("gdb-multiarch")
    if not gdb:
        print("skipped: no gdb")
        sys.exit(77)
    words = ["set debuginfod enabled off", "set confirm off", "handle SIGSEGV nostop noprint pass", "break __jit_debug_register_code",
             "run", "continue 150", "info functions guest_", "kill"]
    arguments = [gdb, "-nx", "-batch"] + [w for line in words for w in ("-ex", line)]
    done = subprocess.run([*arguments, "--args", emulator, "-cache", "off", "-gdbjit", guest, "short"], capture_output=True,
                          text=True, timeout=300)
    names = re.findall(r"^0x[0-9a-f]+ +guest_[0-9a-f]+_baseline$", done.stdout, re.M)
    if "ptrace: Operation not permitted" in done.stderr:
        print("skipped: no ptrace here")
        sys.exit(77)
    check(f"gdb knows {len(names)} blocks by name", len(names) > 100, done.stdout[-800:] + done.stderr[-800:])


def stats():
    report = run("-stats")
    blocks, compiled = count(report, "blocks"), count(report, "blocks compiled")
    check("blocks are compiled once", 300 < compiled <= blocks, report)
    per = re.search(r"host instructions per guest instruction +([\d.]+)", report)
    check("host instructions per guest instruction", per and 1 < float(per[1]) < 6, report)
    parts = [float(x) for x in re.findall(r"^    (?:lifting|passes|code|publishing|from disk) +([\d.]+) s", report, re.M)]
    total = re.search(r"^  time +([\d.]+) s", report, re.M)
    check("the parts of the time add up", total and abs(sum(parts) - float(total[1])) < 0.005, report)
    check("held + evicted + invalidated", count(report, "blocks held at the end") + count(report, "evicted") <= blocks, report)
    report = run("-stats", "-jit", "tiered", does="hot")
    check("tiers", count(report, "regions compiled") >= 1, report)
    report = run("-stats", "-jit", "interp", does="many")
    check("no compiler: none in the report", "baseline JIT" not in report, report)


def tb_size():
    report = run("-tb-size", "1", "-stats", does="many")
    check("evicted", count(report, "evicted") > 10000, report)
    check("memory stays below 1 MiB", count(report, "memory of these") <= 1024, report)
    report = run("-tb-size", "64", "-stats", does="many")
    check("nothing evicted when there is room", count(report, "evicted") == 0, report)
    for executor in ("tiered", "interp"):
        report = run("-tb-size", "1", "-stats", "-jit", executor, does="many")
        check(f"{executor}: evicted", count(report, "evicted") > 10000, report)
    for wrong in ("0", "5000", "x"):
        done = subprocess.run([emulator, "-tb-size", wrong, guest, "short"], capture_output=True, text=True)
        check(f"-tb-size {wrong} is refused in words", done.returncode == 1 and "-tb-size" in done.stderr, done.stderr)


def broken_llvm():
    for how in ("fatal", "fault"):
        for executor in ("tiered", "llvm"):
            said = run("-jit", executor, does="hot", LYREBIRD_LLVM_BREAK=how)
            check(f"{executor}, {how}: said once", said.count("the optimising compiler broke down") == 1, said)


try:
    globals()[case]()
finally:
    shutil.rmtree(directory, ignore_errors=True)
sys.exit(failures != 0)

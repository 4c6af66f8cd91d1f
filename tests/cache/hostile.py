#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Places for the cache that are full or read-only, and several processes that write at once: the guest
must not notice. usage: hostile.py LYREBIRD-AARCH64 PROGRAM full|read-only|together"""
import os, re, subprocess, sys, tempfile

emulator, program, case = sys.argv[1:4]
if not os.path.exists(program):
    sys.exit(77)
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
failures = 0
environment = {k: v for k, v in os.environ.items() if not k.startswith("LYREBIRD_")} | {"LYREBIRD_STATS": "1"}


def check(what, good, why=""):
    global failures
    failures += not good
    print(("ok    " if good else "FAILED ") + what + ("" if good else "\n" + why))


def count(text, name):
    return sum(int(n.replace(" ", "")) for n in re.findall(name + r" +([\d ]+)\n", text))


def run(cache, shell=None):
    """With `shell`: in a mount namespace of its own, after these commands."""
    command = [emulator, "-cache", cache, program]
    if shell:
        command = [*NAMESPACE, "sh", "-c", shell + '\n"$@" && exec "$@"', "sh", *command]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def need_namespace():
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode != 0:
        print("skipped: this machine does not permit new namespaces")
        sys.exit(77)


def same(what, done, times=1):
    check(what + ": the guest's output", done.returncode == 0 and done.stdout == good.stdout * times,
          done.stdout[-300:] + done.stderr[-700:])
    check(what + ": no internal error", "internal error" not in done.stderr, done.stderr[-700:])


good = run("off")
with tempfile.TemporaryDirectory() as top:
    cache = os.path.join(top, "cache")
    if case == "full":
        need_namespace()
        for size, fill in (("16k", 0), ("64k", 0), ("256k", 40), ("1m", 0), ("4m", 4000)):
            mount = f"mkdir -p {cache} && mount -t tmpfs -o size={size},mode=700 none {cache} || exit 9\n"
            if fill:
                mount += f"head -c {fill * 1024} /dev/zero > {cache}/other\n"
            same(f"{size}, {fill} KiB of it taken", run(cache, mount), times=2)
    elif case == "read-only":
        need_namespace()
        run(cache)
        bind = f"mount --bind {cache} {cache} && mount -o remount,bind,ro {cache} || exit 9"
        done = run(cache, bind)
        same("with translations in it", done, times=2)
        check("what is there is used", count(done.stderr, "blocks found") > 100, done.stderr[-700:])
        empty = os.path.join(top, "empty")
        os.mkdir(empty, 0o700)
        same("empty", run(empty, f"mount --bind {empty} {empty} && mount -o remount,bind,ro {empty} || exit 9"), times=2)
    elif case == "together":
        for turn in ("cold", "warm"):
            many = [subprocess.Popen([emulator, "-cache", cache, program], env=environment, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True) for _ in range(8)]
            answers = [(p.communicate(timeout=240), p.returncode) for p in many]
            check(f"eight at once, {turn}", all(out == good.stdout and status == 0 for (out, _), status in answers),
                  str([a for a in answers if a[1] or a[0][0] != good.stdout][:1])[:900])
        done = run(cache)
        found, missing = count(done.stderr, "blocks found"), count(done.stderr, "not there")
        check(f"afterwards {found} blocks are found, {missing} are not", found > 100 and missing * 20 < found)
        verified = subprocess.run([os.path.join(os.path.dirname(emulator), "lyrebird"), "cache", "verify"],
                                  env=environment | {"LYREBIRD_CACHE_DIR": cache}, capture_output=True, text=True)
        check("the files are sound", verified.returncode == 0, verified.stdout + verified.stderr)
    else:
        sys.exit(f"no such case: {case}")
sys.exit(failures != 0)

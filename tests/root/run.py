#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py EMULATOR GUEST: with -L, stat, open and execve come to the same file by every kind of link. The host has
another program wherever the root has GUEST (static names.c)."""
import os
import shutil
import subprocess
import sys
import tempfile

emulator, guest = sys.argv[1:]
TAKEN = "/usr/bin/true"  # of the host and of the root
HOSTS = "/usr/bin/false"  # whose status is 1: what names.c calls EPERM
ROOTS = "/opt/only-in-the-root/program"
SIZE = os.path.getsize(guest)
FOUND = f"stat={SIZE} open={SIZE} nofollow=ELOOP exec=42 exec-nofollow=ELOOP"
LOST = {error: f"stat={error} open={error} nofollow=ELOOP exec={error} exec-nofollow=ELOOP" for error in ("ENOENT", "ELOOP")}


def up(directory, path):
    """A link's relative text from `directory` to `path`."""
    return os.path.relpath(path, directory)


def links(outside):
    """Name in `outside`: its text, and what the guest sees of it."""
    size = os.path.getsize(HOSTS)
    return {
        "absolute": (TAKEN, FOUND),
        "relative": (up(outside, TAKEN), FOUND),
        "chain": ("absolute", FOUND),
        "chain-in-the-root": ("/etc/link", FOUND),
        "only-in-the-root": (ROOTS, FOUND),
        "through-a-directory": ("usr" + TAKEN.removeprefix("/usr"), FOUND),
        "out-and-back": (f"{outside}/only-in-the-root", FOUND),
        "to-the-host": (HOSTS, f"stat={size} open={size} nofollow=ELOOP exec=EPERM exec-nofollow=ELOOP"),
        "dangling": ("/usr/bin/neither-has-this", LOST["ENOENT"]),
        "loop": ("loop", LOST["ELOOP"]),
        "loop-in-the-root": ("/etc/loop", LOST["ELOOP"]),
    }


def make(root, outside, cases):
    for program in (TAKEN, ROOTS):
        os.makedirs(os.path.dirname(root + program))
        shutil.copy(guest, root + program)
    os.mkdir(root + "/etc")
    os.symlink(TAKEN, root + "/etc/link")
    os.symlink(outside + "/loop-in-the-root", root + "/etc/loop")
    os.symlink("/usr", outside + "/usr")
    for name, (text, _) in cases.items():
        os.symlink(text, f"{outside}/{name}")
    script = outside + "/script"
    with open(script, "w") as file:
        file.write(f"#!{outside}/chain\n")
    os.chmod(script, 0o755)
    size = os.path.getsize(script)
    cases["script"] = (None, f"stat={size} open={size} nofollow={size} exec=42 exec-nofollow=42")


def main():
    with tempfile.TemporaryDirectory() as root, tempfile.TemporaryDirectory() as outside:
        cases = links(outside)
        make(root, outside, cases)
        done = subprocess.run([emulator, "-cache", "off", "-L", root, guest, outside, *cases],
                              capture_output=True, text=True, timeout=100)
        expected = [f"{how} {name} {seen}" for name, (_, seen) in cases.items() for how in ("path", "below", "here")]
        got = done.stdout.splitlines()
        for want, have in zip(expected, got + [""] * len(expected)):
            print(f"ok      {want}" if want == have else f"FAILED  {want}\n        {have}")
        print(done.stderr, end="")
        return got != expected or done.returncode != 0


sys.exit(main())

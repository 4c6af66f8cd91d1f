#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The static program where there are no libraries: in a changed root, and as binfmt_misc's handler (flag F)
of a guest root. usage: run.py STATIC-LYREBIRD-AARCH64 GUEST-ROOT chroot|binfmt"""
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

emulator, root, case = sys.argv[1:4]
INSIDE = "LYREBIRD_STATIC_TEST"
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def skip(why):
    print("skipped: " + why)
    sys.exit(77)


def mount(*arguments):
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        skip(f"mount {' '.join(arguments)}: {done.stderr.strip()}")


def expect(what, command, text, status=0, change_to=None, env=None, errors=None, memory=None):
    """errors: what has to be found in standard error; memory: all that the program may map."""
    def prepare():
        if change_to:
            os.chroot(change_to)
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/", preexec_fn=prepare,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LYREBIRD_CACHE": "off"} | (env or {}))
    good = (done.stdout, done.returncode) == (text, status) and (not errors or re.search(errors, done.stderr))
    print(("ok      " if good else "FAILED  ") + what)
    if not good:
        print(done.stdout + done.stderr + f"status {done.returncode}")
        sys.exit(1)


def mapped_size(program):
    """What the kernel maps of it."""
    with open(program, "rb") as file:
        header = file.read(64)
        offset, count = struct.unpack_from("<Q", header, 32)[0], struct.unpack_from("<H", header, 56)[0]
        file.seek(offset)
        segments = [struct.unpack("<IIQQQQQQ", file.read(56)) for _ in range(count)]
    return max(address + size for kind, _, _, address, _, _, size, _ in segments if kind == 1)  # PT_LOAD


if not os.path.exists(emulator):
    skip(f"{emulator} was not built")
if not os.path.exists(root + "/usr/bin/dash"):
    skip(f"no guest root at {root}")
with open(emulator, "rb") as file:
    if b"/lib64/ld-linux-x86-64.so.2\0" in file.read(4096):
        sys.exit(f"{emulator} is not a static program")
if os.path.exists(root + "/usr/lib64/ld-linux-x86-64.so.2"):
    sys.exit(f"{root} has libraries of this machine")
if not os.environ.get(INSIDE):
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode != 0:
        skip("this machine does not permit new namespaces")
    # Out here nothing is ever mounted on it, so it stays empty; rmdir() would remove nothing else.
    top = tempfile.mkdtemp(prefix="lyrebird-static.")
    try:
        status = subprocess.run([*UNSHARE, sys.executable, *sys.argv], env=os.environ | {INSIDE: top}).returncode
    finally:
        os.rmdir(top)
    sys.exit(status)

top = os.environ[INSIDE]
guest = top + "/guest"
mount("-t", "tmpfs", "none", top)
os.mkdir(guest)
mount("--bind", root, guest)
mount("-o", "remount,bind,ro", guest)
os.mkdir(top + "/tmp")
if case == "chroot":
    # Nothing but the emulator and the guest.
    shutil.copy(emulator, top + "/lyrebird-aarch64")
    script = "echo $0 $1; exit 3"
    dash = ["-L", "/guest", "/guest/usr/bin/dash", "-c"]
    for jit in ("interp", "baseline", "tiered", "llvm"):
        expect(f"-jit {jit}", ["/lyrebird-aarch64", "-jit", jit, *dash, script, "a", "b"], "a b\n", 3, top)
    # The optimising tier at work: counts that are not 0.
    expect("-jit llvm: by LLVM", ["/lyrebird-aarch64", "-stats", "-jit", "llvm", *dash, "true"], "", 0, top,
           errors=r"regions compiled +[1-9]")
    loop = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; echo $i"
    keep = {"LYREBIRD_CACHE": "/tmp/cache", "LYREBIRD_TIER_WORTH": "0"}
    for what, count in (("", "regions compiled"), (", kept", "regions from disk")):
        expect(f"-jit tiered: a loop by LLVM{what}", ["/lyrebird-aarch64", "-stats", "-jit", "tiered", *dash, loop],
               "400000\n", 0, top, keep, count + " +[1-9]")
    for how in ("fatal", "fault"):
        expect(f"LLVM ends in a {how}", ["/lyrebird-aarch64", "-jit", "tiered", *dash, loop], "400000\n", 0, top,
               {"LYREBIRD_TIER_WORTH": "0", "LYREBIRD_LLVM_BREAK": how}, "the optimising compiler broke down")
    expect("-d in_asm,out_asm", ["/lyrebird-aarch64", "-d", "in_asm,out_asm", *dash, "true"], "", 0, top,
           errors=r"(?s)  b[l.]\w* #0x[0-9a-f]+\n.*  mov qword ptr \[rdi")
    # Room for the program and what it always has, but for no second copy of the module's variables and code.
    expect("too little memory for LLVM", ["/lyrebird-aarch64", "-jit", "llvm", *dash, "true"], "", 1, top,
           errors="module, .* MiB, can't be mapped: Cannot allocate memory; .*-jit baseline",
           memory=mapped_size(emulator) + (16 << 20))
    # The emulator starts itself again through /proc/self/exe.
    os.mkdir(top + "/proc")
    mount("--bind", "/proc", top + "/proc")
    expect("a program that starts others", ["/lyrebird-aarch64", "-L", "/guest", "/guest/usr/bin/env", "/usr/bin/dash", "-c",
                                            "/usr/bin/uname -m"], "aarch64\n", 0, top)
else:
    mount("-t", "binfmt_misc", "binfmt_misc", "/proc/sys/fs/binfmt_misc")  # of this namespace since Linux 6.7
    directory = os.path.dirname(os.path.abspath(emulator))
    done = subprocess.run([directory + "/lyrebird", "binfmt", "register", directory], capture_output=True, text=True)
    if done.returncode != 0:
        skip(done.stderr.strip())
    mount("--bind", "/proc", guest + "/proc")
    mount("--bind", top + "/tmp", guest + "/tmp")
    script = "uname -m; for n in 1 2; do env printf '%s\\n' $n | sed s/^/n/; done; exit 3"
    expect("a guest program is executed like any other", ["/usr/bin/dash", "-c", script], "aarch64\nn1\nn2\n", 3, guest)
    expect("the same with LYREBIRD_JIT=tiered", ["/usr/bin/dash", "-c", script], "aarch64\nn1\nn2\n", 3, guest,
           {"LYREBIRD_JIT": "tiered"})
    expect("by LLVM", ["/usr/bin/dash", "-c", "echo a"], "a\n", 0, guest,
           {"LYREBIRD_JIT": "llvm", "LYREBIRD_STATS": ""}, r"regions compiled +[1-9]")
    with open(top + "/tmp/script", "w") as file:
        file.write("#!/bin/sh\necho \"$0 $1\"\n")
    os.chmod(top + "/tmp/script", 0o755)
    expect("and a script of it", ["/tmp/script", "word"], "/tmp/script word\n", 0, guest)

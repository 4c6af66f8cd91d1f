#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""refusals.py LYREBIRD-SYSTEM-X86_64: what can't be had is said in one line, with exit status 1."""

import os
import re
import subprocess
import sys
import tempfile

program = sys.argv[1]
failures = 0


# In front of the kernel: what it answers where it has not got something.
KERNEL = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
int ioctl(int fd, unsigned long request, unsigned long argument) {
  static int (*real)(int, unsigned long, unsigned long);
  if (!real) real = (int (*)(int, unsigned long, unsigned long))dlsym(RTLD_NEXT, "ioctl");
  const char* const missing = getenv("NO_CAPABILITY");
  if (request == KVM_CREATE_VM && getenv("KVM_BUSY")) return errno = EBUSY, -1;
  if (request == KVM_CHECK_EXTENSION && missing && argument == strtoul(missing, 0, 0)) return 0;
  return real(fd, request, argument);
}
"""


def refused(what, arguments, expected, before=(), environment=None):
    global failures
    done = subprocess.run([*before, program, *arguments], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})})
    lines = done.stderr.splitlines()
    good = done.returncode == 1 and len(lines) == 1 and re.search(expected, done.stderr)
    failures += not good
    print(("ok      " if good else "FAILED  ") + what + ("" if good else f"\n  {done.returncode} {done.stderr}"))


with tempfile.TemporaryDirectory() as folder:
    text = os.path.join(folder, "kernel")
    with open(text, "wb") as file:
        file.write(b"no kernel " * 1000)
    closed = os.path.join(folder, "kvm")
    os.mknod(closed, 0o600 | 0o020000, os.makedev(10, 232)) if os.geteuid() == 0 else None
    run = ["-M", "microvm", "-kernel", text]
    refused("no device", [*run, "-accel", "kvm,device=/nowhere/kvm"], r"/nowhere/kvm: no such device; load the module")
    refused("another device", [*run, "-accel", "kvm,device=/dev/null"], r"/dev/null: not a KVM device")
    refused("every accelerator of the list", [*run, "-accel", "kvm,device=/nowhere/kvm", "-accel", "jit"],
            r"/nowhere/kvm: no such device.*-accel jit: x86 machines run under KVM only")
    refused("an accelerator that is none", [*run, "-accel", "kvn"], r"kvn: no such accelerator \(did you mean kvm\?\)")
    if os.geteuid() == 0:
        os.chmod(folder, 0o755)
        refused("no right to the device", [*run, "-accel", f"kvm,device={closed}"], r"permission denied; only root",
                before=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        os.chmod(closed, 0o660)
        os.chown(closed, 0, 104)
        refused("not in the group", [*run, "-accel", f"kvm,device={closed}"], r"permission denied; join the group \S+ \(sudo",
                before=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: the rest needs /dev/kvm")
        sys.exit(1 if failures else 77)
    library = os.path.join(folder, "kernel.so")
    if subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], input=KERNEL, text=True).returncode == 0:
        other = {"LD_PRELOAD": library, "ASAN_OPTIONS": "verify_asan_link_order=0"}
        refused("another hypervisor has the processor", run, r"/dev/kvm: another hypervisor uses the processor",
                environment={**other, "KVM_BUSY": "1"})
        refused("a kernel without a capability", run, r"/dev/kvm: this kernel has no KVM_CAP_IMMEDIATE_EXIT; use Linux",
                environment={**other, "NO_CAPABILITY": "136"})
    refused("a file that is no kernel", run, r"-kernel .*/kernel: is no kernel")
    refused("a kernel that is not there", ["-M", "microvm", "-kernel", "/nowhere"], r"-kernel /nowhere: ")
    refused("no kernel", ["-M", "microvm"], r"name a kernel with -kernel")
    refused("too much memory", [*run, "-m", "900T"], r"900T?|memory")
    refused("too little memory", [*run, "-m", "1"], r"-m 1024K: microvm has at least 4 MiB")
    refused("too many processors", [*run, "-smp", "4000"], r"-smp 4000: this kernel's KVM has at most \d+ processors")
    memory = "memory-backend-memfd,id=m0,size="
    refused("memory of another size", [*run, "-m", "64", "-object", memory + "32M", "-M", "microvm,memory-backend=m0"],
            r"has 32 MiB, and -m says 64 MiB")
    refused("memory that is not there", [*run, "-M", "microvm,memory-backend=m1"], r"no -object has this id")
    refused("huge pages that there are not", [*run, "-m", "2T", "-object", memory + "2T,hugetlb=on,hugetlbsize=2M",
            "-M", "microvm,memory-backend=m0"], r"memory microvm.ram: .*(nr_hugepages|huge pages of that size|can't get)")
    refused("a host node that there is not", [*run, "-object", memory + "128M,host-nodes=900,policy=bind",
            "-M", "microvm,memory-backend=m0"], r"can't have pages of these host nodes")
    refused("a folder that is not there", [*run, "-mem-path", "/nowhere/at/all"], r"/nowhere/at/all: No such file")
    refused("a host CPU that there is not", ["-M", "microvm", "-kernel", text, "-smp", "1,pin=1000"], r"-smp pin: .*1000|-kernel")
    refused("an unknown processor", [*run, "-cpu", "Hazwell"], r"-cpu Hazwell: no such processor; there are host, max,")
    refused("an unknown feature", [*run, "-cpu", "host,+turbo"], r"-cpu: turbo: no such feature")
    refused("a feature the host has not", [*run, "-cpu", "Haswell,+3dnow,enforce"], r"this host has no .*3dnow")
    refused("an unknown machine", ["-M", "microvn", "-kernel", text], r"-M microvn: no such machine \(did you mean microvm\?\)")
sys.exit(1 if failures else 0)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bad_elf.py EMULATOR PROGRAM: files that are no programs, or broken ones made of PROGRAM (static, as the emulator runs
it). Each has to be refused with one message that names the file, and status 1, 126 or 127; never by a signal."""
import os
import struct
import subprocess
import sys
import tempfile

MACHINES = {"EM_386": 3, "EM_ARM": 40, "EM_X86_64": 62, "EM_AARCH64": 183, "EM_RISCV": 243}
PT_LOAD, PT_INTERP, PT_NULL = 1, 3, 0


class Elf:
    """An ELF file whose headers can be changed by name."""

    def __init__(self, image):
        self.image = bytearray(image)
        self.wide = image[4] == 2
        # name: (offset, format) in the header and in a program header
        self.header = {"type": (16, "H"), "machine": (18, "H"), "version": (20, "I")}
        self.segment = {"type": (0, "I")}
        if self.wide:
            self.header |= {"entry": (24, "Q"), "phoff": (32, "Q"), "ehsize": (52, "H"), "phentsize": (54, "H"),
                            "phnum": (56, "H")}
            self.segment |= {"offset": (8, "Q"), "vaddr": (16, "Q"), "filesz": (32, "Q"), "memsz": (40, "Q"),
                             "align": (48, "Q")}
        else:
            self.header |= {"entry": (24, "I"), "phoff": (28, "I"), "ehsize": (40, "H"), "phentsize": (42, "H"),
                            "phnum": (44, "H")}
            self.segment |= {"offset": (4, "I"), "vaddr": (8, "I"), "filesz": (16, "I"), "memsz": (20, "I"),
                             "align": (28, "I")}

    def get(self, name):
        at, kind = self.header[name]
        return struct.unpack_from("<" + kind, self.image, at)[0]

    def put(self, name, value):
        at, kind = self.header[name]
        struct.pack_into("<" + kind, self.image, at, value)
        return self

    def place(self, index, name):
        at, kind = self.segment[name]
        return self.get("phoff") + index * self.get("phentsize") + at, "<" + kind

    def of(self, index, name):
        at, kind = self.place(index, name)
        return struct.unpack_from(kind, self.image, at)[0]

    def set(self, index, name, value):
        at, kind = self.place(index, name)
        struct.pack_into(kind, self.image, at, value)
        return self

    def loads(self):
        return [i for i in range(self.get("phnum")) if self.of(i, "type") == PT_LOAD]


def variants(good):
    """(name, bytes, whether it may run all the same)"""
    def elf():
        return Elf(good)

    def edited(index, value):
        image = bytearray(good)
        image[index] = value
        return bytes(image)

    first, last = elf().loads()[0], elf().loads()[-1]
    top = (1 << (64 if elf().wide else 32)) - 4096
    yield "empty", b""
    yield "text", b"just some text\n"
    yield "one-byte", good[:1]
    yield "magic-only", good[:4]
    yield "half-a-header", good[:20]
    yield "header-only", good[:64]
    yield "no-program-headers", bytes(elf().put("phnum", 0).image)
    yield "too-many-program-headers", bytes(elf().put("phnum", 0xffff).image)
    yield "headers-beyond-the-end", bytes(elf().put("phoff", len(good)).image)
    yield "headers-at-the-top", bytes(elf().put("phoff", top + 4000).image)
    yield "odd-header-size", bytes(elf().put("phentsize", 7).image)
    yield "cut-in-a-segment", good[:elf().of(last, "offset") + 16]
    yield "other-class", edited(4, 1 if elf().wide else 2)
    yield "no-class", edited(4, 0)
    yield "big-endian", edited(5, 2)
    yield "no-byte-order", edited(5, 9)
    for name, number in MACHINES.items():
        if number != elf().get("machine"):
            yield name, bytes(elf().put("machine", number).image)
    for name, number in {"relocatable": 1, "core": 4, "no-type": 0}.items():
        yield name, bytes(elf().put("type", number).image)
    yield "nothing-to-load", bytes(set_all(elf(), "type", PT_NULL).image)
    yield "less-memory-than-file", bytes(elf().set(first, "memsz", 1).image)
    yield "segment-at-the-top", bytes(elf().set(last, "vaddr", top | elf().of(last, "vaddr") & 4095).image)
    yield "too-much-memory", bytes(elf().set(last, "memsz", top).image)
    yield "segments-overlap", bytes(elf().set(last, "vaddr", elf().of(first, "vaddr")).image)
    yield "segment-beyond-the-file", bytes(elf().set(last, "offset", top).image)
    yield "misaligned-segment", bytes(elf().set(first, "vaddr", elf().of(first, "vaddr") + 1).image)
    interpreter = elf()
    free = next(i for i in range(interpreter.get("phnum")) if interpreter.of(i, "type") != PT_LOAD)
    name = b"/no/such/interpreter\0"
    interpreter.set(free, "type", PT_INTERP).set(free, "offset", len(good)).set(free, "filesz", len(name))
    yield "missing-interpreter", bytes(interpreter.image) + name
    interpreter.set(free, "filesz", 1 << 24)
    yield "endless-interpreter", bytes(interpreter.image) + name


def set_all(elf, name, value):
    for i in elf.loads():
        elf.set(i, name, value)
    return elf


def refusal(emulator, path):
    """None, or what is wrong with how the file is refused."""
    # A process is never taken apart when it ends, which a sanitizer's build calls a leak.
    environment = os.environ | {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    done = subprocess.run([emulator, path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120, env=environment)
    said = done.stderr.decode(errors="replace")
    if done.returncode not in (1, 126, 127):
        return f"status {done.returncode}: {said}"
    # A message may go on in lines that are indented.
    starts = [line for line in said.splitlines() if not line.startswith(" ")]
    if len(starts) != 1 or os.path.basename(path) not in starts[0] or done.stdout:
        return f"says {said!r} {done.stdout!r}"
    return None


def main():
    emulator, program = sys.argv[1:]
    with open(program, "rb") as f:
        good = f.read()
    failed = count = 0
    with tempfile.TemporaryDirectory() as directory:
        paths = [os.path.join(directory, "not-there"), os.path.join(directory, "a-directory")]
        os.mkdir(paths[1])
        for name, image in variants(good):
            paths.append(os.path.join(directory, name))
            with open(paths[-1], "wb") as f:
                f.write(image)
            os.chmod(paths[-1], 0o755)
        for path in paths:
            count += 1
            wrong = refusal(emulator, path)
            if wrong:
                failed += 1
                print(f"{os.path.basename(path)}: {wrong}")
    print(f"{count} files, {failed} not refused as they should be")
    return failed != 0


sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails on every #include which docs/architecture.md's table of folders forbids.

usage: check.py [TREE]      (default: this source tree)
"""

import pathlib
import re
import sys

BACK_ENDS = {"block", "net", "ui"}

# Folder: what it may include beside itself: whole folders, or single headers.
ALLOWED = {
    "base": set(),
    "ir": {"base"},
    "system": {"base"},
    "frontend": {"base", "ir", "system"},
    "jit": {"base", "ir", "system"},
    "accel": {"base", "ir", "system", "frontend", "jit"},
    "devices": {"base", "system"} | BACK_ENDS,
    "block": {"base", "system"},
    "net": {"base", "system"},
    "ui": {"base", "system"},
    "machines": {"base", "system", "devices", "accel", "frontend", "block", "net"},
    # The two ir headers are where a guest's state and its reasons to stop are defined.
    "user": {"base", "system", "frontend", "accel", "ir/cpu_header.h", "ir/inst.h"},
    "monitor": {"base", "ir", "system", "frontend", "jit", "accel", "devices", "machines", "user"} | BACK_ENDS,
}
# The guests know nothing of each other.
GUESTS = {"x86", "arm", "ppc"}
EVERYTHING = {"tools", "tests", "bench"}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
SOURCES = {".h", ".cpp", ".c", ".S", ".inc"}


def complaint(path: str, included: str, folders: set[str]) -> str | None:
    """Why `path` may not include `included` (both relative to the tree), or None."""
    here, there = path.split("/"), included.split("/")
    if there[0] not in folders or here[0] in EVERYTHING:
        return None
    if here[0] not in ALLOWED:
        return f"{here[0]}/ is not in the table of layers (tests/layers/check.py)"
    if here[0] == there[0]:
        if here[0] == "frontend" and len(here) > 2 and len(there) > 2:
            if {here[1], there[1]} <= GUESTS and here[1] != there[1]:
                return f"frontend/{here[1]} may not include frontend/{there[1]}"
        return None
    if {there[0], included} & ALLOWED[here[0]]:
        return None
    return f"{here[0]}/ may not include {there[0]}/"


def check(tree: pathlib.Path) -> list[str]:
    folders = set(ALLOWED) | EVERYTHING
    found = []
    for top in sorted(folders - EVERYTHING):
        for path in sorted((tree / top).rglob("*")):
            if path.suffix not in SOURCES:
                continue
            name = str(path.relative_to(tree))
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if match := INCLUDE.match(line):
                    included = match[1]
                    # An include relative to its own folder stays in its layer unless it climbs.
                    if not (tree / included).exists() and (path.parent / included).exists():
                        included = str((path.parent / included).resolve().relative_to(tree.resolve()))
                    if reason := complaint(name, included, folders):
                        found.append(f"{name}:{number}: includes {match[1]}: {reason}")
    return found


if __name__ == "__main__":
    tree = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    problems = check(tree)
    print("\n".join(problems) if problems else "every include is allowed")
    sys.exit(1 if problems else 0)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each -cpu lifts exactly the instructions that LLVM gives that processor.

Words as in a64_objdump.py. `max` is left out: no processor of LLVM's has just its features.
"""
import argparse
import collections
import random
import re
import subprocess
import sys

import a64_objdump

CPUS = ['cortex-a53', 'cortex-a57', 'cortex-a72', 'neoverse-n1']
# EL1's and the debugger's, which LLVM knows and EL0 may not use.
PRIVILEGED = r'(mrs|msr|sys|sysl|tlbi|at|dc|ic|hvc|smc|hlt|dcps[123]|eret|drps)\b'


def disassemble(llvm_mc, cpu, words):
    """Texts, None where LLVM has no instruction."""
    lines = '\n'.join(' '.join('0x%02x' % b for b in w.to_bytes(4, 'little')) for w in words)
    run = subprocess.run([llvm_mc, '--disassemble', '-triple=aarch64', '-mcpu=' + cpu, '-mattr=+crypto'], input=lines,
                         capture_output=True, text=True)
    invalid = {int(n) for n in re.findall(r':(\d+):\d+: warning: invalid instruction encoding', run.stderr)}
    texts = iter([t.strip() for t in run.stdout.splitlines() if t.strip() and '.text' not in t])
    found = [None if i in invalid else next(texts) for i in range(1, len(words) + 1)]
    assert next(texts, None) is None, 'one text for each word'
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--decoder', required=True)
    parser.add_argument('--llvm-mc', default='llvm-mc-19')
    parser.add_argument('--per-row', type=int, default=15)
    parser.add_argument('--random', type=int, default=10000)
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args()
    rows = a64_objdump.rows(args.decoder)
    words = a64_objdump.words_to_try(rows, args.per_row, args.random, random.Random(args.seed))
    words = [w for w in words if not a64_objdump.is_sve_or_sme(w)]
    groups = collections.defaultdict(list)
    for cpu in CPUS:
        handlers = a64_objdump.decode([args.decoder, cpu], words)
        for word, handler, text in zip(words, handlers, disassemble(args.llvm_mc, cpu, words)):
            if handler == '-' and text and re.match(PRIVILEGED, text):
                continue
            if (handler != '-') != (text is not None):
                groups[(cpu, handler, (text or '-').split()[0])].append((word, text))
    for (cpu, handler, mnemonic), found in sorted(groups.items()):
        print('%s: lifted by %s, LLVM: %s (%d words, %08x %s)' % (cpu, handler, mnemonic, len(found), *found[0]))
    print('%d words on %d processors, %d kinds of difference' % (len(words), len(CPUS), len(groups)))
    return 1 if groups else 0


if __name__ == '__main__':
    sys.exit(main())

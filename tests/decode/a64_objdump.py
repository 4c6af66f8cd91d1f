#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every word that objdump knows as an instruction of our feature set must be lifted, and no other.

Words: each decode row filled at random, the same with one bit flipped, and words at random.
Where the two differ for a reason, DIFFERENCES says which; anything else fails the test.
"""
import argparse
import collections
import random
import re
import subprocess
import sys
import tempfile

# Mnemonics of features that no processor of ours has: SVE, SME, MTE, MOPS, CSSC, LS64, TME, RNG,
# WFxT, XS, HBC, THE, D128, LSE128, CPA, FP8, SM3, SM4, ECV, SPE, and EL1's and debug's own.
ABSENT = r'''hvc smc hlt dcps[123] eret eretaa eretab drps udf \.inst
 addg subg irg gmi ldg stg st2g stzg stz2g stgp ldgm stgm stzgm subp subps cmpp
 ld64b st64b st64bv st64bv0 tstart tcommit tcancel ttest wfet wfit
 set[gpmetn]* cpy[fpmertwn]* bc\..* sm3.* sm4.* brb'''.split()
# FEAT_CSSC has general registers where Advanced SIMD has instructions of the same name.
ABSENT_SCALAR = r'(abs|cnt|ctz|smax|smin|umax|umin)\s+[wx]'


def rows(decoder):
    out = subprocess.run([decoder, '--rows'], check=True, capture_output=True, text=True).stdout
    return [line.split('\t') for line in out.splitlines()]


def filled(pattern, rng):
    return int(''.join(c if c in '01' else rng.choice('01') for c in pattern), 2)


def words_to_try(all_rows, per_row, at_random, rng):
    words = set()
    for _, pattern, _, _ in all_rows:
        for _ in range(per_row):
            word = filled(pattern, rng)
            words.add(word)
            words.add(word ^ 1 << rng.randrange(32))
    for _ in range(at_random):
        words.add(rng.getrandbits(32))
        words.add(0xd5000000 | rng.getrandbits(22))
    return sorted(words)


def decode(command, words):
    text = '\n'.join('%x' % w for w in words)
    out = subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout
    return out.split()


def disassemble(objdump, words):
    with tempfile.NamedTemporaryFile() as file:
        for word in words:
            file.write(word.to_bytes(4, 'little'))
        file.flush()
        out = subprocess.run([objdump, '-D', '-z', '-b', 'binary', '-m', 'aarch64', file.name], check=True,
                             capture_output=True, text=True).stdout
    lines = [line.split('\t', 2)[2] for line in out.splitlines() if re.match(r'^ *[0-9a-f]+:\t', line)]
    assert len(lines) == len(words), (len(lines), len(words))
    return lines


def is_sve_or_sme(word):
    op0 = word >> 25 & 15
    return op0 == 2 or (op0 == 0 and word >> 31) or op0 in (1, 3)


def known_to_objdump(text):
    mnemonic = text.split()[0]
    if '.inst' in text or 'undefined' in text or re.match(ABSENT_SCALAR, text):
        return False
    return not any(re.fullmatch(p, mnemonic) for p in ABSENT)


# What objdump says, the handler we have, and why it is right to differ.
DIFFERENCES = [
    (r'(mrs|msr|sys|sysl|at|tlbi|dc|ic|cfp|cpp|dvp|smstart|smstop)\b', '-',
     'a system register or operation that EL0 may not use, or of a feature that is absent'),
    (r'fml[as]l2?\b', '-', 'objdump accepts size<0> = 1, which is unallocated'),
    (r'dsb\s+\w+nxs', '-', 'FEAT_XS is absent'),
    (r'\.inst', 'LDAR', 'register fields that should be 31 are ignored everywhere, here objdump is stricter'),
    (r'\.inst', 'LDPSW', 'both registers the same: unpredictable, and no processor takes an exception'),
]


def explained(text, handler):
    return any(re.match(t, text) and re.fullmatch(h, handler) for t, h, _ in DIFFERENCES)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--decoder', required=True)
    parser.add_argument('--objdump', default='aarch64-linux-gnu-objdump')
    parser.add_argument('--per-row', type=int, default=100)
    parser.add_argument('--random', type=int, default=100000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--show', type=int, default=3, help='examples of each difference')
    args = parser.parse_args()
    rng = random.Random(args.seed)
    all_rows = rows(args.decoder)
    words = [w for w in words_to_try(all_rows, args.per_row, args.random, rng) if not is_sve_or_sme(w)]
    handlers = decode([args.decoder], words)
    texts = disassemble(args.objdump, words)
    groups = collections.defaultdict(list)
    for word, handler, text in zip(words, handlers, texts):
        if (handler != '-') != known_to_objdump(text) and not explained(text, handler):
            groups[(handler, text.split()[0])].append((word, text))
    for (handler, mnemonic), found in sorted(groups.items()):
        print('%s: lifted by %s, objdump: %s (%d words)' % (mnemonic, handler, mnemonic, len(found)))
        for word, text in found[:args.show]:
            print('    %08x  %s' % (word, text))
    print('%d words, %d rows, %d kinds of difference' % (len(words), len(all_rows), len(groups)))
    return 1 if groups else 0


if __name__ == '__main__':
    sys.exit(main())

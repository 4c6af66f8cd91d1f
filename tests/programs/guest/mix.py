import collections
import decimal
import fractions
import hashlib
import json
import math
import random
import re
import struct
import zlib

random.seed(7)
numbers = [random.random() for _ in range(2000)]
print(f"{math.fsum(numbers):.15f} {max(numbers):.15f} {sorted(numbers)[1000]!r}")
print(hashlib.sha256(b"x" * 5000).hexdigest(), hashlib.blake2b(b"y").hexdigest()[:32])
print(zlib.crc32(b"crc" * 1000), len(zlib.compress(b"abc" * 1000)))
print(decimal.Decimal(2).sqrt(decimal.Context(prec=60)), fractions.Fraction(355, 113) - fractions.Fraction(22, 7))
print(collections.Counter(re.findall(r"\w", "the quick brown fox jumps over the lazy dog")).most_common(4))
print(json.dumps({"pi": math.pi, "list": [1, None, True], "é": "ü"}, sort_keys=True))
print(struct.pack("<dfi", 1.5, 0.1, -2).hex(), pow(3, 1000, 10**20 + 39), 2**300 % 10**30)
print([math.gamma(x / 4) for x in range(1, 12, 3)], math.erf(0.5), math.nextafter(1, 2), float("1e-320"))
print(sorted({hash(str(i)) % 1 for i in range(5)}), "%.20e" % 0.1, round(2.675, 2), 1e22, 5e-324)

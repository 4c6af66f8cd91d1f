# SPDX-License-Identifier: Apache-2.0
"""What ./dev demo shows last: a Mandelbrot set, a few digits, and who computed them."""

import platform
import sys
import time

start = time.monotonic()
width, height = 72, 22
shades = " .:-=+*#%@"
colour = sys.stdout.isatty()
for row in range(height):
    line = ""
    for column in range(width):
        c = complex(-2.2 + 3.2 * column / width, -1.2 + 2.4 * row / height)
        z, n = 0j, 0
        while abs(z) < 2 and n < 40:
            z, n = z * z + c, n + 1
        shade = " " if n == 40 else shades[n % len(shades)]
        line += f"\x1b[38;5;{17 + n * 5}m{shade}" if colour else shade
    print(line + ("\x1b[0m" if colour else ""))


def pi_digits(count):
    """Gibbons' spigot."""
    q, r, t, k, n, l = 1, 0, 1, 1, 3, 3
    while count:
        if 4 * q + r - t < n * t:
            yield str(n)
            count -= 1
            q, r, n = 10 * q, 10 * (r - n * t), 10 * (3 * q + r) // t - 10 * n
        else:
            q, r, t, k, n, l = q * k, (2 * q + r) * l, t * l, k + 1, (q * (7 * k + 2) + r * l) // (t * l), l + 2


print("pi:", "".join(pi_digits(64)))
print(f"Python {platform.python_version()} for {platform.machine()}, {time.monotonic() - start:.1f} s")

# Classes, dictionaries, strings, comprehensions, exceptions, generators.
import collections, json, re, sys

class Node:
    __slots__ = ("key", "left", "right")
    def __init__(self, key):
        self.key, self.left, self.right = key, None, None

def insert(root, key):
    while True:
        side = "left" if key < root.key else "right"
        child = getattr(root, side)
        if child is None:
            return setattr(root, side, Node(key))
        root = child

def walk(node):
    if node:
        yield from walk(node.left)
        yield node.key
        yield from walk(node.right)

def main(n):
    seed, root = 1, Node(500000)
    for _ in range(n):
        seed = seed * 1103515245 + 12345 & 0x7fffffff
        insert(root, seed % 1000003)
    keys = list(walk(root))
    words = collections.Counter(re.findall(r"[0-9]{2}", " ".join(map(str, keys))))
    text = json.dumps({"common": words.most_common(5), "sum": sum(keys), "n": len(keys)}, sort_keys=True)
    bad = 0
    for k in keys:
        try:
            [][k]
        except IndexError:
            bad += 1
    print(text, bad, sum(x * x % 7 for x in keys), "".join(sorted(set(text)))[:20])

main(int(sys.argv[1]))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""x86.py [--root DIR] EMULATOR [NAME...]: Debian programs of this machine's own kind, natively and
under EMULATOR: the same output and the same exit status. With --root both run those of another root
(Debian's i386): natively in a changed root, which needs root's rights or user namespaces.

With --runtimes it is the long list, of programs that make code while they run, of encoders, Go and Rust;
it needs the root of ./dev test runtimes.

usage: x86.py build/release/lyrebird-x86_64
       x86.py --root build/payload/i386 build/release/lyrebird-i386 python
"""

import argparse
import difflib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

# What needs nothing of the machine but its files; {T} is an empty directory of the case.
CASES = {
    "ls": "ls -1 /usr/share/common-licenses",
    "coreutils": "seq 1 2000 | sort -rn | head -50 | tac | md5sum; sha256sum /etc/debian_version; "
                 "echo hello | tr a-z A-Z | rev 2>/dev/null; expr 6 '*' 7; factor 1234567890; "
                 "cut -d: -f1 /etc/passwd | sort | uniq -c | head -5; od -An -tx4 /etc/debian_version",
    "shell": "for i in 1 2 3; do echo $((i * i)); done; x=$(echo sub | cat); echo \"$x\"; "
             "printf '%05d %x\\n' 42 255; [[ abc == a* ]] && echo match; kill -TERM $$; echo not here",
    "pipes": "yes | head -100000 | wc -lc; dd if=/dev/zero bs=64k count=100 2>/dev/null | cksum",
    "files": "cd {T}; mkdir -p a/b; echo x > a/b/c; ln -s b a/l; ln a/b/c a/d; find a | sort; cp -r a z; "
             "chmod 640 z/d; stat -c '%a %s %h %F' a/d z/d a/l; rm -r a z; ls",
    "sed": "seq 1 20 | sed -n '5,10{{s/1/one/;p}}'; echo 'a,b;c' | sed -E 's/([a-z])[,;]/\\1-/g'",
    "grep": "grep -rn 'free software' /usr/share/common-licenses/GPL-3 | head -20; echo abc | grep -oE '[bc]+'",
    "awk": "seq 1 100 | awk '{{ s += $1 * 1.5 }} END {{ printf \"%.3f %d\\n\", s, NR }}'",
    "tar": "cd {T}; cp /usr/share/common-licenses/GPL-2 one; tar --mtime=@0 --owner=0 --group=0 "
           "-cf t.tar one; md5sum t.tar; gzip -n9 < t.tar | md5sum; xz -T1 < t.tar | md5sum; "
           "bzip2 < t.tar | md5sum; xz -T1 < t.tar | xz -d | tar -t",
    "python": "python3 -c 'import math, json, hashlib, zlib, decimal; print(sum(math.sin(i) for i in "
              "range(1000)), 2**200, hashlib.sha512(b\"x\" * 9999).hexdigest()); print(json.dumps({{str(i): "
              "i / 7 for i in range(20)}})); print(zlib.crc32(b\"abc\" * 1000), decimal.Decimal(2).sqrt(), "
              "float(\"1e-320\"), 1e22, 0.1 + 0.2)'",
    "python threads": "python3 -c 'import threading, queue; q = queue.Queue(); t = [threading.Thread(target="
                      "lambda i=i: q.put(sum(range(i * 10000)))) for i in range(8)]; [x.start() for x in t]; "
                      "[x.join() for x in t]; print(sorted(q.queue))'",
    "python processes": "python3 -c 'import subprocess, os, signal; print(subprocess.check_output([\"echo\", "
                        "\"a\"])); p = os.fork(); p or os._exit(7); print(os.waitpid(p, 0)[1]); "
                        "print(subprocess.run([\"sh\", \"-c\", \"kill -SEGV $$\"]).returncode)'",
    "perl": "perl -e '$h{{$_ % 7}} += sqrt($_) for 1..1000; printf \"%d %.6f\\n\", $_, $h{{$_}} for sort keys %h; "
            "print join(\",\", map {{ $_ ** 2 }} grep {{ $_ & 1 }} 1..20), \"\\n\"; print 1e15 / 3, \"\\n\"'",
    "sqlite": "sqlite3 :memory: 'create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 "
              "from n where i < 5000) insert into t select i, i * 0.5 from n; select count(*), sum(b), "
              "avg(a), max(b) from t;'",
    "openssl": "openssl dgst -sha3-256 /etc/debian_version; echo x | openssl enc -aes-256-cbc -K "
               "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff -iv "
               "000102030405060708090a0b0c0d0e0f | md5sum",
    "git": "cd {T}; export HOME=$PWD GIT_AUTHOR_DATE=2000-01-01T00:00:00Z GIT_COMMITTER_DATE=2000-01-01T00:00:00Z; git init -q -b m .; "
           "git config user.email a@b; git config user.name n; cp /usr/share/common-licenses/GPL-3 f; "
           "git add f; git commit -qm one; git log --format='%H %s'; git fsck",
    "compiler": "cd {T}; printf '#include <stdio.h>\\n#include <math.h>\\nint main(void){{double s=0;for(int i=1;i<100;"
                "i++)s+=sqrt(i)/i;printf(\"%%.12f\\\\n\",s);return 5;}}' > h.c; gcc -O2 -o h h.c -lm && ./h; "
                "echo $?; gcc -O2 -S -o - h.c | md5sum",
}

# In front of what needs libraries that are chosen by alternatives, which nobody has set up.
LIBRARIES = "export LD_LIBRARY_PATH=$(echo /usr/lib/*-linux-gnu/{{blas,lapack}} | tr ' ' :); "
SOURCE = "ffmpeg -v error -f lavfi -i testsrc=size=320x240:rate=25:duration=1 "
JAVA = "cd {T}; export PATH=$(echo /usr/lib/jvm/java-17-openjdk-*/bin):$PATH; "
GO = """package main
import ("fmt"; "math"; "sync")
func main() {{
  var w sync.WaitGroup
  r := make([]float64, 8)
  for i := range r {{
    w.Add(1)
    go func(i int) {{ defer w.Done(); for j := 0; j < 200000; j++ {{ r[i] += math.Sqrt(float64(i*j)) }} }}(i)
  }}
  w.Wait()
  fmt.Println(r)
  defer func() {{ fmt.Println(recover()) }}()
  var p *int
  *p = 1
}}
"""
# Files of guest/ are in {T}; X87 is guest/x87.c, built by this machine's compiler.
RUNTIMES = {
    "luajit": "cd {T}; luajit jit.lua; luajit -joff jit.lua",
    "node": "cd {T}; node -p '[1, 2, 3].map(x => x * 2).join()'; node work.js",
    "java": JAVA + "java -version; javac Threads.java && for how in -Xmixed -Xint -XX:-TieredCompilation; do "
            "java $how Threads; done",
    # x264 and x265 choose other code, with other results, where there is AVX-512.
    "x264": LIBRARIES + SOURCE + "-c:v libx264 -preset fast -threads 2 -x264-params asm=avx2 -f rawvideo - | md5sum",
    "x264 without vectors": LIBRARIES + SOURCE + "-c:v libx264 -threads 2 -x264-params asm=0 -f rawvideo - | md5sum",
    "mpeg4": LIBRARIES + SOURCE + "-c:v mpeg4 -threads 2 -bitexact -f rawvideo - | md5sum",
    "vp9": LIBRARIES + SOURCE + "-c:v libvpx-vp9 -cpu-used 8 -deadline realtime -bitexact -f rawvideo - | md5sum",
    "audio": LIBRARIES + "ffmpeg -v error -f lavfi -i sine=duration=2 -c:a aac -bitexact -f adts - | md5sum; "
             "ffmpeg -v error -f lavfi -i sine=duration=2 -c:a libopus -bitexact -f ogg - | md5sum",
    "go": "cd {T}; go version; printf '%s' '" + GO + "' > h.go; export GOCACHE={T}/cache CGO_ENABLED=0; "
          "go vet h.go; go build -trimpath -ldflags=-buildid= -o h h.go && ./h; sha256sum h",
    "rust": "rg -n --sort path 'free software' /usr/share/common-licenses; fdfind GPL /usr/share/common-licenses | sort",
    "x87": "{T}/x87",
}
HERE = pathlib.Path(__file__).resolve().parent


def prepare(directory, runtimes, bits):
    """Files for a long case."""
    if not runtimes:
        return
    for name in ("jit.lua", "work.js", "Threads.java"):
        shutil.copy(HERE / "guest" / name, directory)
    subprocess.run(["gcc-12", f"-m{bits}", "-mfpmath=387", "-O2", "-static", "-o", f"{directory}/x87",
                    HERE / "guest/x87.c", "-lm"], check=True)


def run(command, directory, **more):
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin", "LC_ALL": "C", "HOME": directory, "TZ": "UTC",
                   "LYREBIRD_CACHE": os.environ.get("LYREBIRD_CACHE", "off")}
    for name in ("LYREBIRD_JIT",):
        if name in os.environ:
            environment[name] = os.environ[name]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=900, env=environment, cwd="/", **more)
    return done.stdout.decode(errors="replace").splitlines(keepends=True) + [f"status {done.returncode}\n"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default="")
    parser.add_argument("--runtimes", action="store_true")
    parser.add_argument("emulator")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    emulator = str(pathlib.Path(args.emulator).absolute())
    root = str(pathlib.Path(args.root).resolve()) if args.root else ""
    if root and not os.path.exists(root + "/bin/bash"):
        print(f"x86.py: {root} has no programs")
        sys.exit(77)
    cases = RUNTIMES if args.runtimes else CASES
    unknown = set(args.names) - set(cases)
    if unknown:
        sys.exit(f"x86.py: no such case: {', '.join(sorted(unknown))}; there are: {', '.join(cases)}")
    bits = 32 if emulator.endswith("i386") else 64
    failed = []
    for name in args.names or cases:
        if name == "rust" and root and not os.path.exists(root + "/usr/bin/rg"):
            print(f"left out {name}: not in this root")
            continue
        text = cases[name]
        # Each side has a directory of the same name, made anew.
        with tempfile.TemporaryDirectory() as outside:
            inside = "/tmp/case"
            for side in ("native", "guest"):
                os.makedirs(f"{outside}/{side}")
                prepare(f"{outside}/{side}", args.runtimes, bits)
            if root:
                mounts = [f"mount --rbind /{d} '{root}/{d}'" for d in ("dev", "proc")]
                mounts += [f"mkdir -p '{root}/tmp/case'", f"mount --bind '{outside}/native' '{root}/tmp/case'"]
                enter = f"{' && '.join(mounts)} && exec chroot '{root}' \"$@\""
                native = ["unshare", "-m", "sh", "-c", enter, "sh"]
                if os.geteuid() != 0:
                    native[1:1] = ["-r"]
                expected = run(native + ["/bin/bash", "-c", text.format(T=inside)], "/tmp")
                got = run([emulator, "-L", root, root + "/bin/bash", "-c",
                           text.format(T=f"{outside}/guest")], "/tmp")
            else:
                expected = run(["/bin/bash", "-c", text.format(T=f"{outside}/native")], "/tmp")
                got = run([emulator, "/bin/bash", "-c", text.format(T=f"{outside}/guest")], "/tmp")
        diff = list(difflib.unified_diff(expected, got, "native", "emulated"))
        print(f"{'differs' if diff else 'same   '} {name}", flush=True)
        sys.stdout.writelines(diff[:40])
        if diff:
            failed.append(name)
    if failed:
        sys.exit(f"{len(failed)} of {len(args.names or cases)} differ: {', '.join(failed)}")


main()

# Pipelines, redirections and the status of each part.
set -o pipefail
seq 1 100 | awk '{s += $1} END {print s}' | tee total | sed 's/^/total: /'
cat total
false | true
echo "pipefail $?"
{ echo out; echo err >&2; } 2>&1 | sort
exec 5>file
echo through five >&5
exec 5>&-
cat <file
for i in a b c; do echo $i; done | while read -r x; do echo "<$x>"; done
printf '%s\n' b a c | sort -r | head -n 1
echo "${PIPESTATUS[@]}"
find /etc -maxdepth 1 -name 'pa*' | sort | xargs -n 1 basename
yes | head -n 3 | uniq -c
ls /nonexistent 2>&1 | cut -d: -f2-
exit 0

# Job control without a terminal: background, wait, stop, continue, kill.
set -m
sleep 0.3 &
first=$!
(sleep 0.1; exit 7) &
second=$!
wait $second
echo "second ended with $?"
wait $first
echo "first ended with $?"
sleep 10 &
third=$!
kill -STOP %1
sleep 0.2
jobs
kill -CONT %1
sleep 0.2
jobs
kill %1
wait $third
echo "killed: $?"
for i in 3 1 2; do (sleep 0.$i; echo "child $i") & done
wait
echo all done

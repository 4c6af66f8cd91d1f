# Signals to the shell itself, and what children inherit.
trap 'echo got USR1' USR1
trap 'echo got TERM; exit 3' TERM
trap 'echo leaving' EXIT
kill -USR1 $$
(kill -USR1 $$)
bash -c 'trap "" INT; bash -c "kill -INT \$\$; echo ignored INT"'
trap 'echo child changed' CHLD
/bin/true
trap - CHLD
kill -TERM $$
echo not reached

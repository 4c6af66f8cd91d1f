cat <<A
home is ${HOME:+set} and $((6 * 7))
A
cat <<'B'
literal $HOME
B
wc -c <<<"a string"

# TLS over loopback: this machine talks to itself.
port=$((20000 + $$ % 20000))
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out cert \
  -subj /CN=localhost -days 2 2>/dev/null
mkfifo ready
openssl s_server -accept 127.0.0.1:$port -cert cert -key key -rev -naccept 1 >ready 2>/dev/null &
exec 7<ready
until [[ $line == ACCEPT* ]]; do read -r line <&7 || exit 1; done
(cat <&7 >/dev/null) &
coproc client { openssl s_client -connect 127.0.0.1:$port $1 -CAfile cert -quiet -no_ign_eof -verify_return_error 2>log; }
to=${client[1]} from=${client[0]}
echo hello over tls >&$to
read -r answer <&$from
echo "$answer"
exec {to}>&-
wait
grep -o 'verify return:1' log

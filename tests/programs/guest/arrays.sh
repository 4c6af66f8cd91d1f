# Arrays, arithmetic, patterns: the shell's own computing.
declare -A colour=([sky]=blue [grass]=green)
for k in "${!colour[@]}"; do echo "$k=${colour[$k]}"; done | sort
primes=()
for ((n = 2; ${#primes[@]} < 60; n++)); do
  for p in "${primes[@]}"; do
    ((p * p > n)) && break
    ((n % p)) || continue 2
  done
  primes+=("$n")
done
echo "${primes[@]}"
s='The quick brown fox'
echo "${s,,} ${s^^} ${s//o/0} ${s:4:5} ${#s}"
[[ $s =~ ([a-z]+)\ fox$ ]] && echo "${BASH_REMATCH[1]}"
echo $((2 ** 62)) $((-7 / 2)) $((-7 % 3)) $((1 << 40)) $((0xff ^ 0x0f))
printf '%q %5.2f %-5s| %03o %(%Y)T\n' 'a b' 3.14159 ab 8 86400
shopt -s extglob
case abc123 in +([a-z])+([0-9])) echo matched ;; esac

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Talking to the person at the terminal: steps with progress, quiet logs.
# Sourced by ./dev and by the scripts in tools/dev; needs $root (the source tree).

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m' tty=1
else
  bold='' dim='' red='' green='' plain='' tty=''
fi

say() { printf '%s\n' "$*"; }
note() { printf '%s%s%s\n' "$dim" "$*" "$plain" >&2; }
die() {
  printf '%sdev: %s%s\n' "$red" "$*" "$plain" >&2
  exit 1
}

# One line while a step runs: the seconds, and the last line of its log.
_progress() {
  local title=$1 log=$2 pid=$3 start=$SECONDS last columns
  columns=$(tput cols 2>/dev/null || echo 80)
  while kill -0 "$pid" 2>/dev/null; do
    last=$(tail -c 400 "$log" 2>/dev/null | tr '\r' '\n' | grep -v '^$' | tail -n 1 | tr -cd '[:print:]')
    printf '\r\e[K%.*s' "$((columns - 1))" "  $title  $((SECONDS - start))s  $last"
    sleep 0.5
  done
  printf '\r\e[K'
}

# step NAME TITLE COMMAND...: runs COMMAND with its output in build/log/NAME.log;
# the log's end is shown when it fails.
step() {
  local name=$1 title=$2 start=$SECONDS log status=0
  shift 2
  mkdir -p "$root/build/log"
  log=$root/build/log/$name.log
  if [[ -n $tty ]]; then
    "$@" >"$log" 2>&1 </dev/null &
    local pid=$!
    # ^C must end the step too, not only what draws the line.
    trap 'kill '"$pid"' 2>/dev/null; exit 130' INT TERM
    _progress "$title" "$log" "$pid"
    wait "$pid" || status=$?
    trap - INT TERM
  else
    printf '  %s ...\n' "$title"
    "$@" >"$log" 2>&1 </dev/null || status=$?
  fi
  if ((status == 0)); then
    printf '  %s%s%s %s(%ds)%s\n' "$green" "$title" "$plain" "$dim" $((SECONDS - start)) "$plain"
    return 0
  fi
  printf '  %s%s: failed (exit status %d, %ds)%s\n' "$red" "$title" "$status" $((SECONDS - start)) "$plain"
  tail -n 60 "$log" | sed 's/^/    /'
  printf '  the whole log: %s\n' "${log#"$root"/}"
  return "$status"
}

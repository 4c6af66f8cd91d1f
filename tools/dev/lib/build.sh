# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Building a preset. Sourced after say.sh.

# build_preset PRESET [TARGET...]
build_preset() {
  local preset=$1
  shift
  cmake --list-presets | grep -q "\"$preset\"" ||
    die "no such preset: $preset; there are: $(cmake --list-presets | grep -o '"[a-z]*"' | tr -d '"' | xargs)"
  step "configure-$preset" "configure $preset" cmake --preset "$preset" || return
  step "build-$preset" "build $preset" _ninja "$preset" "$@"
}

# clang wants about 1 GiB for each job at its worst.
_ninja() {
  local preset=$1 jobs memory
  shift
  jobs=$(nproc)
  memory=$(awk '/MemAvailable/{print int($2 / 1048576)}' /proc/meminfo)
  ((jobs <= memory)) || jobs=$((memory > 0 ? memory : 1))
  NINJA_STATUS='[%f/%t] ' ninja -C "build/$preset" -j "$jobs" "$@"
}

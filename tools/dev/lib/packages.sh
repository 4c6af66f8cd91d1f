# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Installing the Debian packages of tools/dev/packages.txt. Sourced after say.sh.

wanted_packages() { sed 's/#.*//' "$root/tools/dev/packages.txt" | tr -s ' \n' '\n' | sed '/^$/d'; }

missing_packages() {
  local installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p')
  comm -23 <(wanted_packages | sort -u) <(sort -u <<<"$installed")
}

_install() {
  local sudo=()
  ((EUID == 0)) || sudo=(sudo)
  "${sudo[@]}" apt-get update -q &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -q -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
}

need_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0
  [[ -z ${LYREBIRD_NO_INSTALL:-} ]] || die "please install: ${missing[*]}"
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "please install, as root: apt-get install ${missing[*]}"
    say "needs ${#missing[@]} Debian packages; sudo may ask for your password"
    sudo true || die "please install, as root: apt-get install ${missing[*]}"
  fi
  step packages "install ${#missing[@]} Debian packages" _install "${missing[@]}"
}

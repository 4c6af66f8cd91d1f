# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# A private view of the Debian archive, as any user and without touching the
# machine: the machine's own mirrors and keys, but lists, caches and package
# status of our own, for any architecture. Nothing here installs anything.
# Sourced; needs $root and say.sh.

# private_apt ARCH [SUITE]: sets APT_CONFIG and refreshes the lists when they are older than a day;
# a part of them that can't be read is left out as long as the rest is there.
# With SUITE (backports) the archive has that part too: bookworm-backports on Debian 12.
private_apt() {
  local arch=$1 suite=${2:-} dir=$root/build/apt/$1${2:+-$2}
  mkdir -p "$dir"/{lists/partial,cache/archives/partial,state,sources}
  : >"$dir/status"
  _source_entries "$dir/sources"
  [[ -z $suite ]] || _add_suite "$dir/sources" "$suite"
  cat >"$dir/apt.conf" <<CONF
APT::Architecture "$arch";
#clear APT::Architectures;
APT::Architectures { "$arch"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "true";
Dir::State "$dir/state";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$dir/sources";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
CONF
  export APT_CONFIG=$dir/apt.conf
  if [[ -z $(find "$dir/updated" -mmin -1440 2>/dev/null) ]]; then
    if apt-get update -qq; then
      touch "$dir/updated"
    elif compgen -G "$dir/lists/*_main_binary-${arch}_Packages*" >/dev/null; then
      note "  a part of the archive can't be read now (a mirror that is being updated?): going on without it" >&2
    else
      return 1
    fi
  fi
}

# The machine's Debian entries, each for binary and for source packages. Archives
# of other vendors may not know the architecture and are left out.
_source_entries() {
  local out=$1 file
  rm -f "$out"/*
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -e $file ]] || continue
    grep -q 'debian-archive' "$file" || grep -qi '^URIs:.*debian' "$file" || continue
    sed -E -e 's/^Types:.*/Types: deb deb-src/I' -e '/^Architectures:/Id' "$file" >"$out/${file##*/}"
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ -e $file ]] || continue
    sed -nE '/^deb .*debian/{s/ arch=[^] ]*//; s/\[ *\]//; p; s/^deb /deb-src /; p}' "$file" |
      sort -u >"$out/${file##*/}"
  done
}

# A further part of the archive whose main part the entries name: NAME in DIR becomes NAME-SUITE.
_add_suite() {
  local dir=$1 suite=$2 name file
  name=$(. /etc/os-release && echo "$VERSION_CODENAME")
  for file in "$dir"/*; do
    case $file in
      *.sources) sed -E "/^Suites:/I{/security/!s/^(Suites:.*[[:space:]]$name)([[:space:]].*)?\$/\1\2 $name-$suite/I}" -i "$file" ;;
      *.list) sed -nE "p; s/^(deb(-src)? .*) $name ([a-z].*)\$/\1 $name-$suite \3/p" -i "$file" ;;
    esac
  done
}

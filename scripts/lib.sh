# shellcheck shell=bash
# Functions shared by the scripts in this directory, which source this file first:
#
#   . "$(dirname "$0")/lib.sh"
#
# scripts/action also runs on macOS, so this file must work with bash 3.2.
set -euo pipefail

script=${0##*/}
# shellcheck disable=SC2034 # used by the scripts that source this file
scripts_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # used by the scripts that source this file
repo_dir=${scripts_dir%/*}
cache_dir=${XDG_CACHE_HOME:-${HOME-}/.cache}/cargo-multiarch

say() { printf '%s: %s\n' "$script" "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Prints the comment at the top of the script.
print_help() { awk 'NR > 1 { if (!sub(/^# ?/, "")) exit; print }' "$0"; }
usage() { print_help >&2; exit 2; }
case ${1-} in -h | --help) print_help; exit ;; esac

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo; then sudo "$@"; else die "root is required to run: $*"; fi
}

# Installs Python packages in a new virtual environment. Debian's Python is externally managed (PEP 668), so pip refuses
# to install packages outside one.
python_venv() { # python_venv DIRECTORY PACKAGE...
  local dir=$1
  shift
  have python3 || apt_install python3 python3-venv
  rm -rf "$dir"
  if ! python3 -m venv "$dir" >/dev/null 2>&1; then
    apt_install python3-venv # Debian's python3 does not include ensurepip
    python3 -m venv --clear "$dir"
  fi
  say "pip install $*"
  "$dir/bin/pip" -q --disable-pip-version-check install "$@"
}

# Prints the target directory of the cargo project in the current directory.
target_dir() { cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'; }

# Prints the version and the repository in this project's Cargo.toml.
package_version() { sed -n 's/^version = "\(.*\)"$/\1/p' "$repo_dir/Cargo.toml" | head -n 1; }
package_repository() { sed -n 's/^repository = "\(.*\)"$/\1/p' "$repo_dir/Cargo.toml" | head -n 1; }

# ---- apt -----------------------------------------------------------------------------
# Scripts may run in parallel, so a lock lets only one of them use apt at a time.

apt_updated=
apt_update() { # runs once per script
  [ -z "$apt_updated" ] || return 0
  have apt-get || die "apt-get not found: install the missing programs by hand"
  mkdir -p "$cache_dir"
  local try
  for try in 1 2 3; do
    if (flock 7 && as_root apt-get -qq update >&2) 7>"$cache_dir/apt.lock"; then apt_updated=1; return; fi
    sleep $((try * 3))
  done
  die "apt-get update failed"
}

apt_install() { # apt_install [OPTION...] PACKAGE...
  apt_update
  (
    flock 7
    # A policy-rc.d that exits with 101 keeps packages from starting services such as dockerd, with or without systemd.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      trap 'as_root rm -f "$policy"' EXIT
      trap 'exit 130' INT
      trap 'exit 143' TERM
      printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
      as_root chmod 755 "$policy"
    fi
    say "apt-get install $*"
    log=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
      install -y -q --no-install-recommends "$@" 2>&1) || { tail -n 30 <<<"$log" >&2; die "apt-get install $* failed"; }
  ) 7>"$cache_dir/apt.lock"
}

# Prints the version that apt would install, or nothing if the package is not available.
apt_candidate() { # apt_candidate PACKAGE
  apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p' | grep -v '(none)' || true
}

# Prints the Debian archive's URL from apt's sources.
debian_archive() {
  # shellcheck disable=SC2016 # expanded by apt-get, not by the shell
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/$' ||
    die "no Debian archive in apt's package lists: run 'apt-get update'"
}

# Sets `private_apt` to options that make apt-get and apt-cache use another architecture and other Debian suites. With
# these options, lists and packages are stored in DIRECTORY and no package counts as installed, so the machine's own
# packages are not affected. Signatures are verified, but outdated lists are accepted, because mirrors may lag behind.
private_apt_root() { # private_apt_root DIRECTORY ARCHITECTURE SUITE[,SUITE...] [deb|deb-src]
  local dir=$1 arch=$2 suites=$3 kind=${4:-deb} archive suite
  archive=$(debian_archive) || exit 1
  mkdir -p "$dir"/{lists,archives}/partial
  for suite in ${suites//,/ }; do
    echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main"
  done >"$dir/sources.list"
  # shellcheck disable=SC2034 # used by the scripts that source this file
  private_apt=(-qq -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir" -o Dir::State::status=/dev/null
    -o "APT::Architecture=$arch" -o "APT::Architectures=$arch" -o APT::Get::List-Cleanup=0
    -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none
    -o Acquire::Retries=3)
}

# Prints Debian's name for the architecture of a GNU triple or a platform.
debian_architecture() { # debian_architecture aarch64-linux-gnu|linux/arm64|...
  case $1 in
    aarch64-linux-gnu | linux/arm64 | linux/arm64/v8) echo arm64 ;;
    arm-linux-gnueabi | linux/arm/v5 | linux/arm/v6) echo armel ;;
    arm-linux-gnueabihf | linux/arm | linux/arm/v7) echo armhf ;;
    i686-linux-gnu | linux/386) echo i386 ;;
    powerpc64le-linux-gnu | linux/ppc64le) echo ppc64el ;;
    riscv64-linux-gnu | linux/riscv64) echo riscv64 ;;
    s390x-linux-gnu | linux/s390x) echo s390x ;;
    x86_64-linux-gnu | linux/amd64) echo amd64 ;;
    *) die "no Debian architecture for '$1'" ;;
  esac
}

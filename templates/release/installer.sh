#!/bin/sh
# Installs cargo-multiarch @VERSION@ from the archives of its release.
#
#   sh cargo-multiarch-installer.sh [--to DIR]
#
# DIR is the directory for the program. By default, it is the one for programs that cargo installs. The archive is checked
# against a hash in this script. Set CARGO_MULTIARCH_MIRROR to download the archives from another URL.
set -eu

version=@VERSION@
url=${CARGO_MULTIARCH_MIRROR:-@REPOSITORY@/releases/download/v$version}

say() { printf 'cargo-multiarch-installer: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Prints the target triple of the archive for this machine.
host() {
  machine=$(uname -m)
  case $machine in
    x86_64 | amd64) architecture=x86_64 ;;
    aarch64 | arm64) architecture=aarch64 ;;
    *) die "no archive for $machine: run 'cargo install --locked cargo-multiarch'" ;;
  esac
  system=$(uname -s)
  case $system in
    Linux) if has_glibc; then echo "$architecture-unknown-linux-gnu"; else echo "$architecture-unknown-linux-musl"; fi ;;
    Darwin)
      # A shell under Rosetta runs as x86_64 on an arm64 machine.
      if [ "$(sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]; then architecture=aarch64; fi
      echo "$architecture-apple-darwin" ;;
    *) die "no archive for $system: on Windows, use WSL 2" ;;
  esac
}

# Returns whether the machine has glibc 2.17 or later. The archives for musl contain a static program, which runs on any Linux.
has_glibc() {
  glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || return 1
  glibc=${glibc#glibc 2.}
  case $glibc in '' | *[!0-9.]*) return 1 ;; esac
  [ "${glibc%%.*}" -ge 17 ]
}

hash_of() {
  case $1 in
    x86_64-unknown-linux-gnu) echo @SHA256_x86_64_unknown_linux_gnu@ ;;
    aarch64-unknown-linux-gnu) echo @SHA256_aarch64_unknown_linux_gnu@ ;;
    x86_64-unknown-linux-musl) echo @SHA256_x86_64_unknown_linux_musl@ ;;
    aarch64-unknown-linux-musl) echo @SHA256_aarch64_unknown_linux_musl@ ;;
    x86_64-apple-darwin) echo @SHA256_x86_64_apple_darwin@ ;;
    aarch64-apple-darwin) echo @SHA256_aarch64_apple_darwin@ ;;
  esac
}

download() { # download URL FILE
  if have curl; then
    curl --fail --silent --show-error --location --retry 3 --output "$2" "$1"
  elif have wget; then
    wget --quiet --output-document="$2" "$1"
  else
    die "neither curl nor wget found: install one of them"
  fi || die "failed to download $1"
}

sha256() { # sha256 FILE
  if have sha256sum; then sha256sum "$1"; elif have shasum; then shasum -a 256 "$1"; else
    die "neither sha256sum nor shasum found: install one of them"
  fi | cut -d ' ' -f 1
}

# A function, so that a script that was only partly downloaded does nothing.
main() {
  to=${CARGO_HOME:-${HOME:-}/.cargo}/bin
  case ${1-} in
    '') ;;
    --to) [ $# = 2 ] || die "--to needs a directory: --to DIR"; to=$2 ;;
    *) die "unknown argument '$1': the only option is --to DIR" ;;
  esac
  triple=$(host)
  name=cargo-multiarch-v$version-$triple
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  download "$url/$name.tar.gz" "$work/archive.tar.gz"
  expected=$(hash_of "$triple")
  actual=$(sha256 "$work/archive.tar.gz")
  [ "$actual" = "$expected" ] || die "$url/$name.tar.gz has the hash $actual, expected $expected: download it again"
  tar -C "$work" -xzf "$work/archive.tar.gz"
  mkdir -p "$to"
  # Replaced by renaming, so that a running program is not overwritten.
  cp "$work/$name/cargo-multiarch" "$to/.cargo-multiarch.new"
  mv -f "$to/.cargo-multiarch.new" "$to/cargo-multiarch"
  say "installed cargo-multiarch $version in $to"
  case :$PATH: in
    *:"$to":*) ;;
    *) say "add it to PATH: export PATH=\"$to:\$PATH\"" ;;
  esac
}

main "$@"

#!/bin/sh
# Brings a Debian machine to the point where everything here runs: Debian packages, npm packages, the native build.
# Each step is skipped when it is done already. Usage: scripts/setup.sh [run|test|fuzz|bench]
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-run}

packages="cmake ninja-build g++ libssl-dev liburing-dev libvectorscan-dev libnetfilter-queue-dev libmnl-dev iproute2 iputils-ping util-linux"
# Intel's AES-GCM takes little more than half of OpenSSL's time where the processor has AVX-512; other processors do without it.
[ "$(dpkg --print-architecture)" != amd64 ] || packages="$packages libipsec-mb-dev"
case $purpose in
  run) ;;
  test) packages="$packages doctest-dev curl openssl tcpdump ethtool clamav-daemon iptables nginx-light python3-libtorrent aria2 python3-pyftpdlib python3-scapy ngircd" ;;
  fuzz) packages="$packages doctest-dev clang-14 libclang-rt-14-dev" ;;
  bench) packages="$packages iperf3 tcpdump linux-perf wireguard-go wireguard-tools nebula tinc nginx-light wrk curl clamav-daemon iptables ethtool" ;;
  *) echo "setup: usage: scripts/setup.sh [run|test|fuzz|bench]" >&2; exit 2 ;;
esac

say() { printf 'setup: %s\n' "$1" >&2; }

missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" -ne 0 ]; then
    say "these Debian packages are missing; install them as root, then run this again:"
    say "  apt-get install$missing"
    exit 3
  fi
  say "installing Debian packages:$missing"
  export DEBIAN_FRONTEND=noninteractive
  # A machine that has been up for a while knows its packages; only where that fails are the lists fetched again.
  # shellcheck disable=SC2086
  apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 ||
    { apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends $missing >/dev/null; }
fi

if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "installing npm packages"
  # Not npm ci: it insists on lock entries for the binaries of every platform, also those that a registry mirror for
  # this platform does not carry. The versions and digests of the lock file bind either way.
  npm install --no-audit --no-fund --loglevel=error >&2
  touch node_modules/.package-lock.json
fi
PATH="$PWD/node_modules/.bin:$PATH"
export PATH
case $(node --version) in
  v2[4-9].* | v[3-9][0-9].*) ;;
  *) say "the node package brought $(node --version), but 24 or later is needed; remove node_modules and try again"; exit 1 ;;
esac

target=all
case $purpose in run | bench) target=p2pxbone_addon ;; esac
if [ ! -f native/build/build.ninja ]; then
  say "configuring the native build"
  cmake -S native -B native/build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
fi
[ -f native/build/p2pxbone.node ] || say "building the data plane"
log=native/build/last-build.log
cmake --build native/build --target $target >"$log" 2>&1 || { cat "$log" >&2; exit 1; }

# The lab has use of some of them too.
case $purpose in bench | test)
  [ -x bench/tools/build/udp_send ] || say "building the traffic generators"
  cmake -S bench/tools -B bench/tools/build -G Ninja >/dev/null
  cmake --build bench/tools/build >"$log" 2>&1 || { cat "$log" >&2; exit 1; } ;;
esac

stamp=node_modules/.cache/p2pxbone.stamp
if [ ! -f "$stamp" ] || [ -n "$(find cli native/*.ts om-server overlay p2pd rd -name '*.ts' -newer "$stamp" | head -n 1)" ]; then
  node scripts/warm-cache.ts && touch "$stamp"
fi

#!/bin/sh
# Everything this machine can check, in the order of cost. Says what it left out and why.
set -eu
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$1"; }

step "types"
tsc -p .
step "lint"
oxlint --type-aware --quiet
step "format"
biome format .

step "native core"
ctest --test-dir native/build --output-on-failure

step "unit and property tests, simulation"
node --test --test-reporter=spec --test-concurrency=2 \
  'overlay/**/*.test.ts' 'p2pd/**/*.test.ts' 'rd/**/*.test.ts' 'gateway/**/*.test.ts' 'native/**/*.test.ts' 'om-server/**/*.test.ts' \
  'cli/**/*.test.ts' 'bench/**/*.test.ts' 'test/arch/*.test.ts' 'test/sim/*.test.ts'

step "lab: real TAPs and sockets in network namespaces"
if [ "$(id -u)" -ne 0 ]; then
  echo "skipped: the lab makes network namespaces and TAP devices, which takes root; run npm test as root"
elif [ ! -c /dev/net/tun ]; then
  echo "skipped: there is no /dev/net/tun on this machine"
else
  node --test --test-reporter=spec --test-concurrency=3 'test/lab/*.test.ts'
fi

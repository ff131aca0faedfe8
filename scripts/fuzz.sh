#!/bin/sh
# Runs every fuzz target for so many seconds each (default 60): the native ones under libFuzzer with AddressSanitizer and
# UndefinedBehaviorSanitizer, the JavaScript decoders by mutation. New inputs go to build/fuzz, not into the tree.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
build=build/fuzz

cmake -S native -B "$build" -G Ninja -DP2PXBONE_FUZZ=ON -DCMAKE_CXX_COMPILER=clang++-14 >/dev/null
cmake --build "$build"
for source in native/fuzz/*_fuzz.cpp native/gateway/fuzz/*_fuzz.cpp; do
  [ -e "$source" ] || continue
  name=$(basename "$source" .cpp)
  target=${name%_fuzz}
  mkdir -p "$build/found/$target"
  printf '\n== %s, %s seconds\n' "$target" "$seconds"
  "$build/$name" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="$build/found/$target-" "$build/found/$target" "$(dirname "$source")/corpus/$target"
done

printf '\n== decoders in JavaScript, %s seconds each\n' "$seconds"
node overlay/fuzz/main.ts --seconds "$seconds" --seed "$(date +%s)"

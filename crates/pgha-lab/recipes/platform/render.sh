#!/bin/sh
# Renders what Flux applies in each of the clusters that are named, or in both.
set -eu
cd "$(dirname "$0")"
for cluster in ${*:-core1 core2}; do
  cue cmd -t "cluster=$cluster" render ./platforms
done

module pgha.dev/lab/cue

go 1.26.0

require cuelang.org/go v0.17.1

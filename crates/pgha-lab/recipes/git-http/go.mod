module pgha.dev/lab/git-http

go 1.25.0

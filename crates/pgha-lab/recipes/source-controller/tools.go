//go:build tools

// Package tools names the program that the lab builds from the modules pinned in go.mod.
package tools

import _ "github.com/fluxcd/source-controller"

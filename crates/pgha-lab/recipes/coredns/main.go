// Command coredns is CoreDNS with only the plugins that the lab's sites need.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func init() {
	// A query goes through the plugins in this order.
	dnsserver.Directives = []string{"ready", "errors", "cache", "hosts", "kubernetes"}
}

func main() {
	coremain.Run()
}

// Command argocd is the two parts of Argo CD that act: the application controller and the repository server. Its own
// program has the web server, the user interface and the CLI besides, which the lab has no use for.
package main

import (
	"os"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{Use: "argocd"}
	root.AddCommand(controller.NewCommand(), reposerver.NewCommand())
	if root.Execute() != nil {
		os.Exit(1)
	}
}

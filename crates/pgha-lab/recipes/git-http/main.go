// Command git-http serves bare repositories by git's smart HTTP protocol, for reading and writing, to whoever asks.
//
// A file `answer` in the folder, with a status in it, makes it answer every request with that status: 401 as for a key that
// has expired, 503 as a host that is being mended.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	address := flag.String("address", "127.0.0.1:3000", "where it listens")
	folder := flag.String("folder", "", "the folder of the repositories")
	backend := flag.String("backend", "/usr/lib/git-core/git-http-backend", "git's own program")
	flag.Parse()
	git := &cgi.Handler{
		Path: *backend,
		Env:  []string{"GIT_PROJECT_ROOT=" + *folder, "GIT_HTTP_EXPORT_ALL=1", "HOME=/nonexistent"},
	}
	handler := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		text, err := os.ReadFile(filepath.Join(*folder, "answer"))
		status, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		if err == nil && status >= 400 && status < 600 {
			if status == http.StatusUnauthorized {
				writer.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
			}
			http.Error(writer, "the lab broke this host on purpose", status)
			return
		}
		git.ServeHTTP(writer, request)
	})
	server := &http.Server{Addr: *address, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

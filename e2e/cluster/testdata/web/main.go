// Command web is the pod of the lifecycle test: it serves what a pod sees of the cluster, and counts its starts in a volume.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	if dir := os.Getenv("DATA"); dir != "" {
		starts, err := countStart(filepath.Join(dir, "starts"))
		fmt.Println("start", starts, err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		addresses, err := net.LookupHost("web.default.svc.cluster.local")
		fmt.Fprintln(w, "dns", addresses, err)
		_, err = net.LookupHost("example.com")
		fmt.Fprintln(w, "outside", err)
		token, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/token")
		fmt.Fprintln(w, "token", len(token) > 0, err)
		conn, err := net.Dial("tcp", os.Getenv("KUBERNETES_SERVICE_HOST")+":443")
		fmt.Fprintln(w, "api", conn != nil, err)
		if conn != nil {
			conn.Close()
		}
	})
	if err := http.ListenAndServe(":8080", nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// countStart adds one byte to a file and returns its length.
func countStart(path string) (int, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if _, err := file.Write([]byte{'.'}); err != nil {
		return 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return int(info.Size()), nil
}

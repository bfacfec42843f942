// Command web is the pod of the lifecycle test: it answers, and tells what a pod finds around it.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		addresses, err := net.LookupHost("web.default.svc.cluster.local")
		fmt.Fprintln(w, "dns", addresses, err)
		_, err = net.LookupHost("example.com")
		fmt.Fprintln(w, "stranger", err)
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

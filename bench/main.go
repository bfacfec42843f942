// Command bench measures what a change in the mesh costs pilot, in work and in bytes.
//
//	go run ./bench stages      the stages by themselves, at several sizes of the mesh: what grows with what
//	go run ./bench inprocess   pilot without an API server, and proxies on loopback that follow a few changes
//	go run ./bench load        proxies at the address of any delta ADS server, while commands of yours change the mesh
//
// Times depend on the machine and on what else it does; what counts is the ratio between two lines of one run. README.md
// explains the columns.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root := &cobra.Command{Use: "bench", Short: "measure what a change costs pilot", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(newStagesCommand(), newInprocessCommand(), newLoadCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

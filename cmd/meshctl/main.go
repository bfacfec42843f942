// Command meshctl is the mesh's command line for people; as kubectl-mesh in the PATH it is a plugin of kubectl.
//
// The rules of its interface: standard output holds the answer and nothing else; standard error holds what there is to say
// about it, one thing a line, as "meshctl: error: ..." and "meshctl: hint: ..." with the way out.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are what a command talks through.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run is main with everything it touches as an argument; it returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRootCommand(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(s.err, "meshctl: error:", err)
	if h := new(hinted); errors.As(err, &h) {
		fmt.Fprintln(s.err, "meshctl: hint:", h.hint)
	}
	return 1
}

// hinted is an error that knows what was probably meant.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

func hint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

func newRootCommand(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "meshctl",
		Short:         "Work with the service mesh",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: displayName(os.Args[0])},
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs, // unknownCommand answers, with a hint
		RunE:          unknownCommand,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.AddCommand(newCheckCommand(s), newDashboardCommand(s), newDescribeCommand(s), newDiffCommand(s), newGraphCommand(s), newKubeInjectCommand(s), newLogsCommand(s), newTopCommand(s), newTraceCommand(s), newVersionCommand(s))
	return root
}

// displayName is what a user types: kubectl runs the plugin kubectl-mesh for kubectl mesh.
func displayName(program string) string {
	if filepath.Base(program) == "kubectl-mesh" {
		return "kubectl mesh"
	}
	return "meshctl"
}

// unknownCommand lists the commands that exist: users of istioctl try its commands here.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return hint(fmt.Errorf("unknown command %q", args[0]), "the commands are %s; meshctl --help describes them", strings.Join(names, ", "))
}

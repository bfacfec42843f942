package main

import (
	"fmt"
	"io"
	"syscall"
	"text/tabwriter"
	"time"
)

// report writes one line for each step.
type report struct{ table *tabwriter.Writer }

func newReport(out io.Writer) report {
	r := report{tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)}
	fmt.Fprintln(r.table, "step\tproxies\tmessages\tbytes\tbytes/proxy\tlast ack\tcpu\tcpu/proxy\t")
	return r
}

func (r report) line(step string, f figures) {
	each := int64(max(f.proxies, 1))
	fmt.Fprintf(r.table, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t\n", step, f.proxies, f.messages, f.bytes, f.bytes/each,
		rounded(f.last), rounded(f.cpu), rounded(f.cpu/time.Duration(each)))
}

func (r report) flush() { r.table.Flush() }

func rounded(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(10 * time.Nanosecond)
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

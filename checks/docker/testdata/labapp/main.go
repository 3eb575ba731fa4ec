// Command labapp is the only program in the test image: it waits, ends, eats
// memory, spins, speaks, and is its own health check.
package main

import (
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	what, argument := os.Args[1], 0
	if len(os.Args) > 2 {
		argument, _ = strconv.Atoi(os.Args[2])
	}
	switch what {
	case "exit":
		os.Exit(argument)
	case "say": // each argument to its stream, out=hello or err=oops
		for _, line := range os.Args[2:] {
			if text, ok := strings.CutPrefix(line, "err="); ok {
				_, _ = os.Stderr.WriteString(text) // nobody to tell
				continue
			}
			_, _ = os.Stdout.WriteString(strings.TrimPrefix(line, "out=")) // nobody to tell
		}
		return
	case "eat":
		eaten := make([]byte, argument<<20)
		for i := range eaten {
			eaten[i] = 1
		}
	case "spin":
		go func() {
			for {
				_ = time.Now() // busy on purpose
			}
		}()
	}
	<-stop
}

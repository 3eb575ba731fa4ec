// Command labapp is the only program in the test image: it waits, ends, eats
// memory, spins, and is its own health check.
package main

import (
	"os"
	"os/signal"
	"strconv"
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

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"
)

// errNoRedis says how to get the one component that the sandbox cannot bring.
var errNoRedis = errors.New("no redis-server on this machine: install Redis (apt install redis-server) to see its checks live")

// startRedis starts a real Redis on a Unix socket with sessions in it: no
// memory limit, which for a session store is the fault the checks warn of.
func startRedis(ctx context.Context, procs *processes, dir string) (socket string, err error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errNoRedis
	}
	socket = filepath.Join(dir, "redis.sock")
	cmd := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700",
		"--dir", dir, "--save", "", "--appendonly", "no", "--loglevel", "warning", "--logfile", filepath.Join(dir, "redis.log"))
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	if err := procs.start(cmd); err != nil {
		return "", fmt.Errorf("starting redis-server: %w", err)
	}
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	defer client.Close()
	if err := awaitRedis(ctx, client); err != nil {
		return "", err
	}
	return socket, fillRedis(ctx, client)
}

func awaitRedis(ctx context.Context, client *redis.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for redis-server: %w", err)
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// fillRedis adds live sessions, a few stale ones without an end, and a cache.
func fillRedis(ctx context.Context, client *redis.Client) error {
	_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range 500 {
			p.Set(ctx, fmt.Sprintf("session:%d", i), "user", 12*time.Hour)
		}
		for i := range 20 {
			p.Set(ctx, fmt.Sprintf("session:stale%d", i), "user", 0)
		}
		for i := range 200 {
			p.Set(ctx, fmt.Sprintf("cache:%d", i), "page", time.Hour)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("filling redis: %w", err)
	}
	return nil
}

package site

import (
	"context"
	"crypto/sha256"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

const (
	settle = 200 * time.Millisecond // an editor writes more than once
	poll   = 5 * time.Second        // where nothing is notified
)

// An Update is what a changed site file came to: a new Site, or nil and the
// problems that keep the old one in place.
type Update struct {
	Site     *Site
	Problems Problems
	Err      error // the file could not be read at all
}

// Watch reports every change of the site file until ctx ends, and closes the
// channel then. A file is read, validated and built whole before it is
// reported; the receiver swaps it in or keeps what it has.
func Watch(ctx context.Context, path string, reg *checks.Registry, env func(string) string) <-chan Update {
	updates := make(chan Update)
	last := Digest(path)
	go func() {
		defer close(updates)
		defer crash.Recover()
		for changed(ctx, path) {
			now := Digest(path)
			if now == last {
				continue
			}
			last = now
			s, problems, err := Load(path, reg, env)
			select {
			case updates <- Update{s, problems, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return updates
}

// Digest is the Hash that a site has which is read from the file now; zero if it
// cannot be read.
func Digest(path string) [32]byte {
	raw, err := read(path)
	if err != nil {
		return [32]byte{}
	}
	return sha256.Sum256(raw)
}

// changed waits until the file may have changed; false when ctx ended. It
// watches the directory, since editors replace the file.
func changed(ctx context.Context, path string) bool {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return wait(ctx, poll)
	}
	defer watcher.Close()
	if err := watcher.Add(filepath.Dir(path)); err != nil {
		return wait(ctx, poll)
	}
	timer := time.NewTimer(poll)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case event, open := <-watcher.Events:
			if !open {
				return wait(ctx, poll)
			}
			if filepath.Base(event.Name) == filepath.Base(path) {
				return wait(ctx, settle)
			}
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// Package site reads what is operated: opsdeck.yaml becomes a Site, strictly,
// with every problem at once and each at its line and column; without a file
// the site is detected from what the host has, read-only.
//
// Read site.go for what a Site is, parse.go for the sections of the file,
// yaml.go for the small strict reader below them, detect.go for detection and
// watch.go for reloading. The package knows modules by their declarations; it
// opens no connection and runs no check.
package site

// Package pgserver starts a scratch PostgreSQL: for the demo's sandbox and for
// tests that want the real server.
//
// It finds the binaries of a PostgreSQL that is already on the machine
// (binaries.go), or fetches some when asked to (fetch.go), makes a cluster and
// starts it (server.go). The server does not sync to disk, listens on a Unix
// socket and trusts whoever can reach it, so it holds nothing worth keeping.
// It ends with Stop and with the process that started it, however that ends.
//
// The package must not know checks, sites or screens, and needs no driver:
// Server.DSN is for whoever connects. Read server.go first.
package pgserver

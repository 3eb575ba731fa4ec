// Package sandbox makes a throwaway site for the demo and the tests: a
// learning platform with a real PostgreSQL and Redis where the machine has
// them, web and API endpoints, TLS, logs and backups, healthy and unhealthy
// on purpose. It writes an opsdeck.yaml that names it all.
//
// Everything lives in one directory and in child processes; both are gone
// when the sandbox is closed, when its context ends and when its parent is
// killed. Planted says which verdict each planted fault must give, so that
// tests can hold the checks to the truth.
//
// The package must not know runbooks or screens.
package sandbox

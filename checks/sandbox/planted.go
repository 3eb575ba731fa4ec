package sandbox

import "github.com/advanced-lms/opsdeck/checks"

// Planted says which verdict each item of the daily round must give on a
// sandbox that is less than five minutes old. More than one level means that
// it depends on how long the blocked session has been waiting. Items that
// depend on the host itself (its processor, memory and disks) are not planted.
func Planted() map[string][]checks.Level {
	return map[string][]checks.Level{
		"containers":          {checks.Skipped}, // the sandbox has no containers
		"container-limits":    {checks.Skipped},
		"backend-log":         {checks.Skipped},
		"web-health":          {checks.OK},
		"api-health":          {checks.OK},
		"api-latency":         {checks.OK},
		"error-log":           {checks.OK},
		"error-count":         {checks.Warn}, // 18 in the hour; 478 in the file and its rotation
		"metric-latency":      {checks.OK},
		"metric-errors":       {checks.Warn}, // about 1 in 50
		"metric-users":        {checks.OK},
		"combined-log":        {checks.OK},
		"log-db-errors":       {checks.Warn}, // 3
		"log-redis-timeouts":  {checks.Crit}, // 12
		"log-auth-failures":   {checks.Crit}, // 130 from one address
		"log-exceptions":      {checks.Warn}, // 1
		"frontend-log":        {checks.OK},
		"log-build-errors":    {checks.OK},
		"log-api-failures":    {checks.Warn}, // 2
		"postgres-log":        {checks.OK},
		"log-slow-statements": {checks.OK, checks.Warn}, // a second is long, for a machine that has time
		"log-pg-connections":  {checks.OK},
		"lock-waits":          {checks.OK, checks.Warn, checks.Crit},
		"log-lock-waits":      {checks.OK, checks.Warn}, // logged after a second of waiting
		"connections":         {checks.OK},
		"database-size":       {checks.OK},
		"largest-tables":      {checks.OK},
		"backup-fresh":        {checks.OK},
		"backup-whole":        {checks.OK},
		"backup-log":          {checks.OK},
		"active-users":        {checks.OK},
		"enrolments":          {checks.OK},
	}
}

package sandbox

// oldRows are the entries by which old rows leave the sandbox's tables; the
// schema plants rows on both sides of each cutoff.
const oldRows = `archive:
  audit: {table: public.audit_logs, into: public.audit_logs_archive, older_than: 90d}
purge:
  notifications: {table: public.notifications, where: is_read, older_than: 30d}
`

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// statementText is what an entry's numbers stand for.
type statementText struct{ User, Database, Query string }

// mostTexts bounds what is remembered: about 4 MB.
const mostTexts = 4000

type textRow struct {
	UserOID, DatabaseOID uint32
	ID                   int64
	User, Database       string
	Query                []byte
}

// learnTexts reads the texts of those that are shown and not known yet. It
// does not ask twice for one that the server has forgotten.
func (s *Server) learnTexts(ctx context.Context, ext extension, shown []entry) (partial, error) {
	var missing partial
	ids := s.spendings.unread(shown)
	if len(ids) == 0 {
		return missing, nil
	}
	found, why, err := part[textRow](ctx, s, "pg.statements texts", `SELECT s.userid, s.dbid, s.queryid, coalesce(r.rolname::text, s.userid::text), coalesce(d.datname::text, s.dbid::text), coalesce(substr(textsend(s.query), 1, 4000), '')
FROM `+ext.Schema+`.pg_stat_statements(true) s LEFT JOIN pg_roles r ON r.oid = s.userid LEFT JOIN pg_database d ON d.oid = s.dbid
WHERE s.queryid = ANY($1::bigint[])`, pgx.QueryExecModeExec, ids)
	missing.miss("texts of the statements", why)
	if err == nil && why == "" {
		s.spendings.learn(shown, found)
	}
	return missing, err
}

// unread are the numbers of those whose text was never asked for.
func (k *spendings) unread(shown []entry) []int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	var ids []int64
	for _, x := range shown {
		if _, ok := k.texts[x.spendingKey]; !ok {
			ids = append(ids, x.ID)
		}
	}
	return ids
}

func (k *spendings) learn(asked []entry, found []textRow) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.texts == nil || len(k.texts) > mostTexts {
		k.texts = map[spendingKey]statementText{}
	}
	for _, x := range asked { // also what the server did not give: it is not asked again
		if _, ok := k.texts[x.spendingKey]; !ok {
			k.texts[x.spendingKey] = statementText{"?", "?", "?"}
		}
	}
	for _, x := range found {
		for _, top := range []bool{true, false} {
			k.texts[spendingKey{x.UserOID, x.DatabaseOID, x.ID, top}] = statementText{x.User, x.Database, shown(x.Query)}
		}
	}
}

func (k *spendings) textOf(key spendingKey) statementText {
	k.mu.Lock()
	defer k.mu.Unlock()
	if text, ok := k.texts[key]; ok {
		return text
	}
	return statementText{"?", "?", "?"}
}

package checks

import "time"

// A Load is one entry under "loads": an address of staging that may be put
// under load, because somebody has allowed it until a day. No module takes an
// address from anywhere else.
type Load struct {
	Name      string
	URL       string        // http or https; it is asked with GET
	Token     Secret        // sent as "Authorization: Bearer …"; none if zero
	Withheld  string        // why this user cannot have the token; "" if they can, or there is none
	CA        string        // file of certificates in PEM that are trusted besides the system's
	Users     int           // requests that are under way at most
	Requests  int           // for each of them
	Rate      int           // requests a second
	Wait      time.Duration // for one answer
	Abort     float64       // percent of the last answers that may be wrong before it ends
	Reference string        // of the authorisation: a ticket, a contract
	Until     time.Time     // the last day of the authorisation
	Reports   string        // directory that reports are kept in
	Staging   bool          // the target is not production
	Origin    string
}

// Total is how many requests it sends.
func (l Load) Total() int { return l.Users * l.Requests }

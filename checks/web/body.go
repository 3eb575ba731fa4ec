package web

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// readBody reads at most maxBody bytes, counted after decompression.
func readBody(res *http.Response) (body []byte, truncated bool, err error) {
	var r io.Reader = res.Body
	if strings.EqualFold(res.Header.Get("Content-Encoding"), "gzip") {
		z, err := gzip.NewReader(res.Body)
		if errors.Is(err, io.EOF) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("the body is not the gzip it claims to be: %w", err)
		}
		r = z
	}
	body, err = io.ReadAll(io.LimitReader(r, maxBody+1))
	if len(body) > maxBody {
		return body[:maxBody], true, nil
	}
	if err != nil {
		return body, false, fmt.Errorf("the body ends early: %w", err)
	}
	return body, false, nil
}

package ui

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/ovsnet/ovsnet/topology"
)

// Gate says which requests are answered.
type Gate struct {
	// Loopback says that only this host can reach the listener.
	Loopback bool
	// Names are host names by which the page may be opened; addresses always may.
	Names []string
	// Token is wanted for all data; empty for none.
	Token string
}

// guard passes on what the Gate lets in, and gives every answer the headers that
// keep a browser from doing more with it than showing it.
func (g Gate) guard(next http.Handler) http.Handler {
	sites := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", topology.Policy("'self'")+"; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !g.host(q.Host):
			refuse(w, http.StatusMisdirectedRequest, "this page is not served under that name; open it by its address, or name it with --name")
		case sites.Check(q) != nil || elsewhere(q.Header.Get("Sec-Fetch-Site")):
			refuse(w, http.StatusForbidden, "asked by another site")
		default:
			next.ServeHTTP(w, q)
		}
	})
}

// host reports whether the page may be asked for under that Host.
func (g Gate) host(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if addr, err := netip.ParseAddr(host); err == nil {
		return !g.Loopback || addr.Unmap().IsLoopback()
	}
	fold := func(name string) bool { return strings.EqualFold(name, host) }
	return g.Loopback && fold("localhost") || slices.ContainsFunc(g.Names, fold)
}

// elsewhere reports whether a browser says that a request is another site's
// (Fetch Metadata). Whoever is no browser says nothing.
func elsewhere(site string) bool {
	return site != "" && site != "same-origin" && site != "none"
}

// known passes on requests that have the token, where one is wanted.
func (g Gate) known(next http.HandlerFunc) http.HandlerFunc {
	want := sha256.Sum256([]byte(g.Token))
	return func(w http.ResponseWriter, q *http.Request) {
		given, bearer := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		if g.Token != "" && (!bearer || subtle.ConstantTimeCompare(want[:], got[:]) != 1) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "the token is wanted that ovsnet ui printed, or was given")
			return
		}
		next(w, q)
	}
}

func refuse(w http.ResponseWriter, status int, why string) { http.Error(w, why, status) }

// Package debug shows what a driver.Host does, in a browser and to Prometheus, while the program runs.
//
//	http.Handle("/debug/workers/", debug.Handler(host))
//
// The page names the workers that do not answer, with the job that they hang in and the time that they have left, before
// the host ends them. It shows workers and why those before them ended, jobs by phase with their age, those that have
// run longest, how long calls waited and ran, the last messages and the throughput, and needs nothing from another
// server. Beside it, under the same path, are
//
//	state.json      what the page shows, as JSON
//	metrics         counters, gauges and histograms as text for Prometheus
//	messages.jsonl  the last messages as a capture, for examples/inspect; with ?worker=N or ?job=N those of one
//
// It is a package of its own, so that programs with only a driver, in a browser above all, do not carry net/http.
//
// # Who can see it
//
// A request is answered only if it comes from this machine and asks for it by a loopback name: the remote address and the
// header Host are checked, so no web page reaches it by letting its own name lead here (DNS rebinding). A request that a
// proxy has forwarded is refused, too. See AllowHosts.
//
// Payloads are not shown, only their sizes; in messages.jsonl they are as many zeros. See ShowPayloads. Texts that
// workers and programs send beside payloads are shown: worker ids, progress, reasons, errors and diagnostics. They are
// quoted, and cut; in messages.jsonl, which is JSON, what is not printable is escaped.
//
// # What it costs
//
// From the call of Handler on, the host keeps the last messages (see Keep). A request of the page, one a second while it is
// visible, looks once at each worker. Without a Handler there is no cost but that of a pointer that is nil.
package debug

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// maxListed is how many workers, jobs that workers have, and jobs that wait an answer lists.
const maxListed = 200

// An Option configures a Handler.
type Option func(*handler)

// AllowHosts has requests from other machines, and forwarded ones, answered if their header Host, without the port, is one
// of the names. The name "*" stands for all, which lets any web page that a user of these machines visits see everything.
// Nobody is asked for a password: that is for the handler around this one.
func AllowHosts(names ...string) Option {
	return func(h *handler) {
		for _, name := range names {
			h.hosts[strings.ToLower(name)] = true
		}
	}
}

// ShowPayloads shows the first bytes of payloads on the page, and has messages.jsonl contain them whole.
func ShowPayloads() Option { return func(h *handler) { h.recent.payloads = true } }

// Keep sets how many messages are kept, 1,000 without this option. All together they take at most 16 MiB of memory, so
// of the shortest about 30,000 are kept. Less than 1 stands for 1.
func Keep(n int) Option { return func(h *handler) { h.recent.most = max(n, 1) } }

type handler struct {
	host   *driver.Host
	hosts  map[string]bool // that are allowed in addition to loopback
	recent recent
}

// Handler returns a handler that shows the host. Its path must end in a slash, such as "/debug/workers/". From now on, for
// as long as the host runs, the last messages are kept. It may be called again, for other options.
func Handler(host *driver.Host, opts ...Option) http.Handler {
	h := &handler{host: host, hosts: map[string]bool{}, recent: recent{most: 1000}}
	for _, opt := range opts {
		if opt != nil {
			opt(h)
		}
	}
	host.Observe(h.recent.add)
	return h
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if why := h.refuse(r); why != "" {
		http.Error(w, why, http.StatusForbidden)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are supported", http.StatusMethodNotAllowed)
		return
	}
	query := r.URL.Query()
	number := func(name string) (n uint64, ok bool) {
		if text := query.Get(name); text != "" {
			var err error
			if n, err = strconv.ParseUint(text, 10, 64); err != nil {
				http.Error(w, fmt.Sprintf("%s: expected a number, got %.40q", name, text), http.StatusBadRequest)
				return 0, false
			}
		}
		return n, true
	}
	switch base := path.Base(r.URL.Path); {
	case strings.HasSuffix(r.URL.Path, "/"):
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Content-Security-Policy", policy)
		_, _ = w.Write(page)
	case base == "state.json":
		if after, ok := number("after"); ok {
			header.Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(h.state(after))
		}
	case base == "metrics":
		header.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(w, h.host.Snapshot(maxListed))
	case base == "messages.jsonl":
		worker, ok := number("worker")
		job, ok2 := number("job")
		if ok && ok2 {
			header.Set("Content-Type", "application/jsonl; charset=utf-8")
			header.Set("Content-Disposition", `attachment; filename="`+h.recent.name()+`"`)
			h.recent.export(w, worker, job)
		}
	default:
		http.NotFound(w, r)
	}
}

// refuse returns why a request is not answered; "" if it is.
func (h *handler) refuse(r *http.Request) string {
	name := strings.ToLower(r.Host)
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.TrimSuffix(strings.Trim(name, "[]"), ".")
	if h.hosts[name] || h.hosts["*"] {
		return ""
	}
	for _, forwarded := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(forwarded) != "" {
			return "forwarded requests are refused; see debug.AllowHosts"
		}
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return "requests from other machines are refused; see debug.AllowHosts"
	}
	if addr, err := netip.ParseAddr(name); name != "localhost" && (err != nil || !addr.Unmap().IsLoopback()) {
		return fmt.Sprintf("the name %.80q is not one of this machine's; see debug.AllowHosts", name)
	}
	return ""
}

//go:embed page.html
var pageHTML string

//go:embed style.css
var styleCSS string

//go:embed page.js
var pageJS string

// page is everything in one document, and policy allows that and nothing else.
var (
	page   = []byte(strings.NewReplacer("/*style.css*/", styleCSS, "/*page.js*/", pageJS).Replace(pageHTML))
	policy = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"style-src " + sourceHash(styleCSS) + "; script-src " + sourceHash(pageJS)
)

func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

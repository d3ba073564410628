package chromium

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPageIsOpenedAndDriven(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`<!doctype html><meta name="viewport" content="width=device-width"><p id="p">one</p>`))
	}))
	defer server.Close()
	b := Open(t)
	b.Resize(320, 568)
	b.Navigate(server.URL)
	var text string
	b.Eval("document.getElementById('p').textContent", &text)
	assert.Equal(t, "one", text)
	assert.True(t, b.Is("innerWidth == 320"))
	assert.False(t, b.Is("innerWidth == 321"))
	assert.Empty(t, b.Troubles())

	b.Eval("setTimeout(() => { const q = document.createElement('p'); q.id = 'q'; document.body.append(q); })", nil)
	b.Wait("document.getElementById('q').isConnected") // an error at first
	b.Eval("console.log('something')", nil)
	assert.Len(t, b.Troubles(), 1)
	assert.Contains(t, b.Troubles()[0], "something")

	file := filepath.Join(t.TempDir(), "page.png")
	b.Screenshot(file)
	png, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "\x89PNG", string(png[:4]))

	b.Run("looks", func(t *testing.T) {
		b.Navigate(`data:text/html,<meta name="viewport" content="width=device-width"><style>
			@media (prefers-color-scheme: dark) { body { background: black; } }
			div { width: 200px; color: rgb(115,115,115); } pre { margin: 0; overflow: auto; }</style>
			<div id="short">short</div><div><pre>` + strings.Repeat("long", 20) + `</pre></div><p style="margin-left: -20px">left</p>`)
		b.Prefer("light")
		assert.Len(t, b.Cut(), 2)
		assert.Contains(t, b.Cut()[0], "<pre>long")
		assert.Contains(t, b.Cut()[1], "left")
		assert.Empty(t, b.Faint())
		b.Prefer("dark")
		assert.Len(t, b.Faint(), 3)
		assert.Contains(t, b.Faint()[0], "short")
	})
	b.Run("again", func(t *testing.T) {
		assert.False(t, b.Is("document.getElementById('p')"))
		assert.True(t, b.Is("innerWidth == 320"))
		assert.Empty(t, b.Troubles())
	})
}

// However a browser fails, it is an error, and neither the browser nor a descriptor stays.
func TestBrowserThatFailsIsAnError(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("this test needs a shell")
	}
	const readCommand = "head -c 1 <&3 >/dev/null; "
	for name, c := range map[string]struct {
		script   string
		patience time.Duration
		want     string
	}{
		"hangs":            {"exec sleep 1000", 10 * time.Millisecond, "no answer within 10ms"},
		"ends":             {readCommand, time.Hour, "the browser has ended"},
		"sends an error":   {readCommand + `printf '{"id":1,"error":{"message":"no such method"}}\0' >&4`, time.Hour, "no such method"},
		"sends no message": {readCommand + `printf 'hello\0' >&4; exec sleep 1000`, time.Hour, "invalid character 'h' looking for beginning of value"},
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "chromium")
			require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755))
			before := descriptors(t)
			t.Run("browser", func(t *testing.T) {
				b := start(t, program, c.patience)
				assert.EqualError(t, b.try("Browser.getVersion", nil, nil), "Browser.getVersion: "+c.want)
			})
			assert.Equal(t, before, descriptors(t))
		})
	}
}

// descriptors returns the number of open descriptors, or 0 where the system does not list them.
func descriptors(t *testing.T) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	files, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(files)
}

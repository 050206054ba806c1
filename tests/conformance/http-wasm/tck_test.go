// Package conformance runs the Technology Compatibility Kit of http-wasm against a gofe process, whose binary is GOFE_BIN.
package conformance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/http-wasm/http-wasm-host-go/tck"
)

// covers http-wasm: get_method, set_method, get_uri, set_uri, get_protocol_version, get_source_addr
// covers http-wasm: get_header_names, get_header_values, set_header_value, add_header_value, remove_header
// covers http-wasm: read_body, handle_request, handle_response
func TestHTTP1(t *testing.T) {
	tck.Run(t, http.DefaultClient, start(t))
}

// covers http-wasm: get_method, set_method, get_uri, set_uri, get_protocol_version, get_source_addr
// covers http-wasm: get_header_names, get_header_values, set_header_value, add_header_value, remove_header
// covers http-wasm: read_body, handle_request, handle_response
func TestHTTP2(t *testing.T) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tck.Run(t, &http.Client{Transport: &http.Transport{Protocols: protocols}}, start(t))
}

// start runs gofe with the kit's guest in front of the kit's backend and returns its URL.
func start(t *testing.T) string {
	t.Helper()
	backend := tck.StartBackend("")
	t.Cleanup(backend.Close)
	folder := t.TempDir()
	config := fmt.Sprintf(`listeners: [{ address: 127.0.0.1:0 }]
plugins: { tck: { source: file:tck.wasm, limits: { time: 1s } } }
chains: { tck: [tck] }
routes: [{ chain: tck, upstream: backend }]
upstreams: { backend: { endpoints: [%s] } }
`, strings.TrimPrefix(backend.URL, "http://"))
	file := filepath.Join(folder, "gofe.yaml")
	for name, content := range map[string][]byte{file: []byte(config), filepath.Join(folder, "tck.wasm"): tck.GuestWASM} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gofe := exec.Command(os.Getenv("GOFE_BIN"), "run", file)
	log, err := gofe.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := gofe.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = gofe.Process.Kill()
		_ = gofe.Wait()
	})
	lines := bufio.NewScanner(log)
	var seen []string
	for lines.Scan() {
		seen = append(seen, lines.Text())
		var line struct{ Address, Message string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && strings.Contains(lines.Text(), "gofe serves") {
			go func() {
				for lines.Scan() {
				}
			}()
			return "http://" + line.Address
		}
	}
	t.Fatalf("gofe does not start:\n%s", strings.Join(seen, "\n"))
	return ""
}

package topology

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed page
var page embed.FS

// Table is a table of the pipeline, for drawing a trace through it.
type Table struct {
	ID      int    `json:"id"`
	Name    string `json:"name"`
	Meaning string `json:"meaning"`
}

// Page is a page that shows a Map, as one file.
type Page struct {
	// Map is what it shows; nil for a page that asks who served it, at v1/map,
	// v1/picture, v1/traffic and v1/trace.
	Map *Map `json:"map"`
	// Tables are the pipeline's, in the order in which packets meet them.
	Tables []Table `json:"tables"`
}

// Policy is the page's Content Security Policy (Level 3): its own style and
// script by their hashes, and nothing else. connect says where it may ask.
func Policy(connect string) string {
	return fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; connect-src %s; base-uri 'none'; form-action 'none'",
		hash(pageStyle()), hash(script()), connect)
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func pageStyle() string { return "\n" + style() + part("page.css") }

func script() string { return "\n" + part("page.js") }

// part is a file of the page; the build has all of them, so that none is missing.
func part(name string) string {
	text, err := page.ReadFile("page/" + name)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// WriteHTML writes the page.
func (p Page) WriteHTML(to io.Writer) error {
	// The parts are ovsnet's own or escaped where they were made; html/template
	// escapes the rest for its place.
	parts := struct {
		Policy        string
		Summary, When string
		Style         template.CSS
		Script        template.JS
		Data          template.JS
		Wide, Narrow  template.HTML
	}{Policy: Policy("'none'"), Style: template.CSS(pageStyle()), Script: template.JS(script())}
	if p.Map == nil {
		parts.Policy = Policy("'self'")
	} else {
		var wide, narrow strings.Builder
		if err := p.Map.WriteInline(&wide, Wide); err != nil {
			return err
		}
		if err := p.Map.WriteInline(&narrow, Narrow); err != nil {
			return err
		}
		parts.Wide, parts.Narrow = template.HTML(wide.String()), template.HTML(narrow.String())
		parts.Summary, parts.When = p.Map.summary(), "at "+p.Map.At.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	data, err := json.Marshal(p) // which writes <, > and & as \u escapes
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	parts.Data = template.JS(data)
	t, err := template.New("page").Parse(part("page.html"))
	if err == nil {
		err = t.Execute(to, parts)
	}
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

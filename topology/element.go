package topology

import (
	"bufio"
	"html"
	"strconv"
	"strings"
)

// element is one element of a picture, or text in one.
type element struct {
	name  string
	attrs []string // name, value, name, value, …
	text  string
	kids  []element
}

// box, path, text and group are the elements that pictures are made of. What they
// look like is up to their classes, which come first.

func box(class string, x, y, w, h, round float64, kids ...element) element {
	return element{name: "rect", attrs: []string{"class", class, "x", number(x), "y", number(y), "width", number(w), "height", number(h), "rx", number(round)}, kids: kids}
}

func path(class, d string, kids ...element) element {
	return element{name: "path", attrs: []string{"class", class, "d", d}, kids: kids}
}

func dot(class string, x, y, r float64) element {
	return element{name: "circle", attrs: []string{"class", class, "cx", number(x), "cy", number(y), "r", number(r)}}
}

func text(class string, x, y float64, s string) element {
	return element{name: "text", attrs: []string{"class", class, "x", number(x), "y", number(y)}, text: plain(s)}
}

func group(class string, kids ...element) element {
	return element{name: "g", attrs: []string{"class", class}, kids: kids}
}

// with gives an element one more attribute, whose value others may have chosen.
func (e element) with(name, value string) element {
	e.attrs = append(e.attrs, name, plain(value))
	return e
}

// title is what shows while the pointer rests on the element around it.
func title(s string) element { return element{name: "title", text: plain(s)} }

// number writes a coordinate; a tenth is finer than anybody sees.
func number(n float64) string {
	s := strconv.FormatFloat(n, 'f', 1, 64)
	return strings.TrimSuffix(s, ".0")
}

// write writes the element as XML. Everything but names of elements and
// attributes is escaped.
func (e element) write(to *bufio.Writer, indent string) {
	_, _ = to.WriteString(indent + "<" + e.name)
	for i := 0; i < len(e.attrs); i += 2 {
		_, _ = to.WriteString(" " + e.attrs[i] + `="` + html.EscapeString(e.attrs[i+1]) + `"`)
	}
	switch {
	case len(e.kids) > 0:
		_, _ = to.WriteString(">\n")
		for _, kid := range e.kids {
			kid.write(to, indent+" ")
		}
		_, _ = to.WriteString(indent + "</" + e.name + ">\n")
	case e.text != "":
		_, _ = to.WriteString(">" + html.EscapeString(e.text) + "</" + e.name + ">\n")
	default:
		_, _ = to.WriteString("/>\n")
	}
}

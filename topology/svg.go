package topology

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// paletteSize is how many colours networks have; the next one has the first again.
const paletteSize = 10

// lightColors and darkColors are the networks' on light and on dark paper.
func lightColors() [paletteSize]string {
	return [...]string{"#0b7285", "#7048e8", "#1c6fd6", "#c2570c", "#4c7a12", "#c2255c", "#087f5b", "#8a6100", "#a61e9b", "#495f7a"}
}

func darkColors() [paletteSize]string {
	return [...]string{"#3bc9db", "#b197fc", "#74b8ff", "#ff9f5a", "#a9d65b", "#f783ac", "#45d6a5", "#e8c14a", "#e38be0", "#a3b8d1"}
}

// style is the style sheet of pictures.
func style() string {
	var light, dark, classes strings.Builder
	for i, color := range lightColors() {
		_, _ = fmt.Fprintf(&light, " --n%d: %s;", i, color)
		_, _ = fmt.Fprintf(&dark, " --n%d: %s;", i, darkColors()[i])
		_, _ = fmt.Fprintf(&classes, ".n%d { --c: var(--n%d); }\n", i, i)
	}
	return fmt.Sprintf(":root {%s }\n@media (prefers-color-scheme: dark) { :root {%s } }\n%s%s", light.String(), dark.String(), classes.String(), part("picture.css"))
}

// WriteSVG writes the picture as a file of its own, in pixels as wide as said.
func (m Map) WriteSVG(to io.Writer, width int) error {
	elements, height := m.draw(float64(width), true)
	paper := box("paper", 0, 0, float64(width), height, 0)
	sheet := element{name: "style", text: style()}
	return writeSVG(to, width, height, m.summary(), append([]element{sheet, paper}, elements...))
}

// WriteInline writes the picture for a page that has the style sheet, without a
// heading.
func (m Map) WriteInline(to io.Writer, width int) error {
	elements, height := m.draw(float64(width), false)
	return writeSVG(to, width, height, m.summary(), elements)
}

func writeSVG(to io.Writer, width int, height float64, summary string, elements []element) error {
	out := bufio.NewWriter(to)
	root := element{name: "svg", kids: elements, attrs: []string{
		"xmlns", "http://www.w3.org/2000/svg", "viewBox", fmt.Sprintf("0 0 %d %s", width, number(height)),
		"width", number(float64(width)), "height", number(height), "role", "group", "aria-label", summary,
	}}
	root.write(out, "")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	return nil
}

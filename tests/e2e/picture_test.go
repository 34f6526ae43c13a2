//go:build !emulated

package e2e

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/png"
	"slices"
)

// smaller writes a screenshot with at most 256 colours, which makes its file a third as large and which nobody sees.
func smaller(screenshot []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(screenshot))
	if err != nil {
		return nil, err
	}
	area := from.Bounds()
	to := image.NewPaletted(area, palette(from))
	nearest := map[color.Color]uint8{}
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			c := from.At(x, y)
			index, known := nearest[c]
			if !known {
				index = uint8(to.Palette.Index(c))
				nearest[c] = index
			}
			to.SetColorIndex(x, y, index)
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err = encoder.Encode(&out, to)
	return out.Bytes(), err
}

// palette are the colours that a picture has most of, those that differ little being one.
func palette(of image.Image) color.Palette {
	const alike = 0xf8 // what of eight bits counts
	type class struct{ r, g, b uint32 }
	counts, first := map[class]int{}, map[class]map[color.Color]int{}
	area := of.Bounds()
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			c := of.At(x, y)
			r, g, b, _ := c.RGBA()
			k := class{r >> 8 & alike, g >> 8 & alike, b >> 8 & alike}
			if counts[k]++; first[k] == nil {
				first[k] = map[color.Color]int{}
			}
			first[k][c]++
		}
	}
	var classes []class
	for k := range counts {
		classes = append(classes, k)
	}
	slices.SortFunc(classes, func(a, b class) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.r, b.r), cmp.Compare(a.g, b.g), cmp.Compare(a.b, b.b))
	})
	var colors color.Palette
	for _, k := range classes[:min(len(classes), 256)] {
		most := 0
		var frequent color.Color
		for c, n := range first[k] {
			if n > most {
				most, frequent = n, c
			}
		}
		colors = append(colors, frequent)
	}
	return colors
}

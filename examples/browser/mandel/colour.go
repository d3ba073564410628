package mandel

import (
	"encoding/binary"
	"math"
)

// stops are the colours of the values, which repeat.
var stops = [][3]float64{
	{8, 10, 48}, {24, 62, 150}, {68, 158, 222}, {226, 248, 250}, {252, 208, 92}, {222, 104, 36}, {94, 20, 62},
}

// gradient is one cycle of the colours in small steps.
var gradient = func() (g [2048][3]byte) {
	for i := range g {
		at := float64(i*len(stops)) / float64(len(g))
		from, to := stops[int(at)], stops[(int(at)+1)%len(stops)]
		part := at - math.Floor(at)
		part = part * part * (3 - float64(2*part)) // soft at the stops
		for c := range 3 {
			g[i][c] = byte(from[c] + float64((to[c]-from[c])*part))
		}
	}
	return g
}()

// Colour returns the colour of a value: black for the set itself, otherwise one of the gradient. Colours change more
// slowly for high values, because these are close together.
func Colour(value uint16) [3]byte {
	if value == 0 {
		return [3]byte{}
	}
	return gradient[int(math.Sqrt(float64(value)/32)*230)%len(gradient)]
}

// Paint returns the values of a tile as pixels of four bytes: red, green, blue, opacity.
func Paint(values []byte) []byte {
	pixels := make([]byte, 0, 2*len(values))
	for ; len(values) >= 2; values = values[2:] {
		c := Colour(binary.LittleEndian.Uint16(values))
		pixels = append(pixels, c[0], c[1], c[2], 255)
	}
	return pixels
}

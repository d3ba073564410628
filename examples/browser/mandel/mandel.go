// Package mandel renders the Mandelbrot set in tiles. It uses additions, multiplications and divisions only, none of
// which the compiler may fuse, so that every worker computes the same bytes for a tile, in any language and on any
// processor.
package mandel

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// The size of a picture and of its tiles, in pixels. TileSize divides both sides.
const (
	Width    = 1152
	Height   = 768
	TileSize = 96
)

// MaxLimit is the largest number of iterations whose values fit in 16 bits.
const MaxLimit = 2000

// A View is a part of the complex plane: its centre, its width, and the number of iterations after which a point counts
// as one of the set.
type View struct {
	X, Y, Width float64
	Limit       uint16
}

// Views are the places that the page offers.
var Views = []struct {
	Name string
	View
}{
	{"Spiral", View{-0.761574, -0.0847596, 0.0032, MaxLimit}},
	{"Seahorses", View{-0.743643887037151, 0.131825904205330, 0.0012, MaxLimit}},
	{"Elephants", View{0.2925755, -0.0149977, 0.0045, MaxLimit}},
	{"Satellite", View{-0.1592, 1.0338, 0.045, 1000}},
	{"The whole set", View{-0.7, 0, 3.5, 500}},
}

// Zoom returns the view around a pixel of v that is factor times as wide.
func (v View) Zoom(col, row int, factor float64) View {
	step := v.Width / Width
	v.X += float64(col-Width/2) * step
	v.Y -= float64(row-Height/2) * step
	v.Width *= factor
	return v
}

// A Tile is one piece of work: a square of the picture.
type Tile struct {
	Col, Row  int     // the position of its upper left pixel in the picture; not sent to the worker
	Left, Top float64 // the position of that pixel in the plane
	Step      float64 // from pixel to pixel
	Size      uint16  // pixels a side
	Limit     uint16
}

// Tiles cuts the view into tiles. Those in the middle come first.
func (v View) Tiles() []Tile {
	step := v.Width / Width
	var tiles []Tile
	for row := 0; row < Height; row += TileSize {
		for col := 0; col < Width; col += TileSize {
			left := v.X + float64(float64(col-Width/2)*step)
			top := v.Y - float64(float64(row-Height/2)*step)
			tiles = append(tiles, Tile{col, row, left, top, step, TileSize, v.Limit})
		}
	}
	slices.SortStableFunc(tiles, func(a, b Tile) int { return cmp.Compare(a.offCentre(), b.offCentre()) })
	return tiles
}

// offCentre returns the square of the distance between the centres of the tile and the picture.
func (t Tile) offCentre() int {
	x, y := t.Col+(TileSize-Width)/2, t.Row+(TileSize-Height)/2
	return x*x + y*y
}

// A tile is sent as three float64 and two uint16, all little-endian.
const tileBytes = 3*8 + 2*2

// Encode returns the payload of the tile's job.
func (t Tile) Encode() []byte {
	b := make([]byte, 0, tileBytes)
	for _, f := range []float64{t.Left, t.Top, t.Step} {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
	}
	b = binary.LittleEndian.AppendUint16(b, t.Size)
	return binary.LittleEndian.AppendUint16(b, t.Limit)
}

// Decode reads the payload of a tile's job.
func Decode(payload []byte) (Tile, error) {
	if len(payload) != tileBytes {
		return Tile{}, errors.New("expected a tile of 28 bytes")
	}
	float := func(at int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(payload[at:])) }
	t := Tile{
		Left: float(0), Top: float(8), Step: float(16),
		Size: binary.LittleEndian.Uint16(payload[24:]), Limit: binary.LittleEndian.Uint16(payload[26:]),
	}
	if t.Size == 0 || t.Size > TileSize || t.Limit == 0 || t.Limit > MaxLimit {
		return Tile{}, errors.New("expected a tile of 1 to 96 pixels a side and 1 to 2000 iterations")
	}
	return t, nil
}

// AppendRow appends the values of one row of the tile, each as a little-endian uint16. All rows together are the result
// of the tile's job.
func (t Tile) AppendRow(dst []byte, row int) []byte {
	y := t.Top - float64(float64(row)*t.Step)
	for col := range int(t.Size) {
		x := t.Left + float64(float64(col)*t.Step)
		dst = binary.LittleEndian.AppendUint16(dst, Value(x, y, int(t.Limit)))
	}
	return dst
}

// Render computes the whole tile.
func (t Tile) Render() []byte {
	var values []byte
	for row := range int(t.Size) {
		values = t.AppendRow(values, row)
	}
	return values
}

// Value returns after how many iterations the point x+iy escapes, in units of 1/32 and smoothed so that neighbours
// differ by little; 0 if it does not escape within the limit.
func Value(x, y float64, limit int) uint16 {
	const far = 1 << 16 // the square of the distance at which a point has escaped
	re, im := 0.0, 0.0
	for n := range limit {
		re2, im2 := float64(re*re), float64(im*im)
		if size := re2 + im2; size > far {
			return uint16((float64(n) + 1 - log2(log2(size)/16)) * 32) // log2(far) is 16
		}
		re, im = re2-im2+x, float64(2*re*im)+y
	}
	return 0
}

// log2 returns the binary logarithm of a number of at least 1, rounded down to 16 binary places. The library functions
// of two languages may differ in the last bit.
func log2(x float64) float64 {
	n := 0.0
	for ; x >= 2; x /= 2 {
		n++
	}
	for bit := 0.5; bit > 1.0/(1<<17); bit /= 2 {
		x *= x
		if x >= 2 {
			x /= 2
			n += bit
		}
	}
	return n
}

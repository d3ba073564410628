package mandel

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPointsOfTheSetNeverEscape(t *testing.T) {
	for _, p := range [][2]float64{{0, 0}, {-1, 0}, {0.25, 0}, {-2, 0}, {0, 1}, {-0.12, 0.74}} {
		assert.Zero(t, Value(p[0], p[1], MaxLimit), "%v", p)
	}
}

func TestOtherPointsEscapeAsTheirMirrorImagesDo(t *testing.T) {
	for _, p := range [][2]float64{{1, 0}, {0.3, 0}, {-2.01, 0}, {0, 1.01}, {0.4, 0.4}, {-0.75, 0.1}} {
		v := Value(p[0], p[1], MaxLimit)
		assert.NotZero(t, v, "%v", p)
		assert.Equal(t, v, Value(p[0], -p[1], MaxLimit), "%v", p)
	}
}

func TestValuesAreSmoothWhereTheIterationCountSteps(t *testing.T) {
	last := Value(2, 0, MaxLimit)
	for x := 2.0; x > 0.3; x -= 1.0 / 4096 {
		v := Value(x, 0, MaxLimit)
		assert.LessOrEqual(t, last, v, "nearer to the set, later")
		assert.LessOrEqual(t, v-last, uint16(8), "a quarter of an iteration at most, at %v", x)
		last = v
	}
}

func TestLog2IsTheLogarithmRoundedDown(t *testing.T) {
	for x := 1.0; x < 1<<40; x *= 1.37 {
		got, want := log2(x), math.Log2(x)
		assert.InDelta(t, want-1.0/(1<<17), got, 1.0/(1<<17)+1e-9, "%v", x)
	}
}

func TestTilesCoverThePictureOnceFromTheMiddle(t *testing.T) {
	tiles := Views[0].Tiles()
	seen := make(map[[2]int]bool)
	for i, tile := range tiles {
		assert.Zero(t, tile.Col%TileSize)
		assert.Zero(t, tile.Row%TileSize)
		assert.True(t, 0 <= tile.Col && tile.Col < Width && 0 <= tile.Row && tile.Row < Height)
		assert.False(t, seen[[2]int{tile.Col, tile.Row}], "twice")
		seen[[2]int{tile.Col, tile.Row}] = true
		if i > 0 {
			assert.LessOrEqual(t, tiles[i-1].offCentre(), tile.offCentre())
		}
	}
	assert.Len(t, seen, Width/TileSize*(Height/TileSize))
}

func TestEncodedTileDecodesToTheSameTile(t *testing.T) {
	for i, want := range Views[1].Tiles() {
		if testing.Short() && i%8 != 0 {
			continue
		}
		got, err := Decode(want.Encode())
		require.NoError(t, err)
		assert.Equal(t, want.Render(), got.Render())
	}
}

func TestDecodeRefusesOtherPayloads(t *testing.T) {
	good := Tile{Size: TileSize, Limit: MaxLimit}
	for name, payload := range map[string][]byte{
		"nothing":          nil,
		"a byte short":     good.Encode()[1:],
		"a byte over":      append(good.Encode(), 0),
		"no pixels":        Tile{Limit: 1}.Encode(),
		"too many pixels":  Tile{Size: TileSize + 1, Limit: 1}.Encode(),
		"no iterations":    Tile{Size: 1}.Encode(),
		"too many of them": Tile{Size: 1, Limit: MaxLimit + 1}.Encode(),
	} {
		_, err := Decode(payload)
		assert.Error(t, err, name)
	}
}

func TestZoomCentresThePointOfThePixel(t *testing.T) {
	v := Views[0].View
	col, row := 300, 200
	x, y := v.X+float64(col-Width/2)*v.Width/Width, v.Y-float64(row-Height/2)*v.Width/Width
	got := v.Zoom(col, row, 0.25)
	assert.InDelta(t, x, got.X, 1e-15)
	assert.InDelta(t, y, got.Y, 1e-15)
	assert.Equal(t, v.Width/4, got.Width)
}

func TestSetIsBlackAndOtherColoursChangeWithoutJumps(t *testing.T) {
	assert.Zero(t, Colour(0))
	for v := uint16(64); v < MaxLimit*32; v++ {
		a, b := Colour(v), Colour(v+1)
		assert.NotEqual(t, [3]byte{}, a)
		for c := range 3 {
			assert.InDelta(t, a[c], b[c], 16, "%d", v)
		}
	}
}

func TestPaintMakesFourBytesOfEachValue(t *testing.T) {
	c := Colour(1000)
	values := binary.LittleEndian.AppendUint16([]byte{0, 0}, 1000)
	assert.Equal(t, []byte{0, 0, 0, 255, c[0], c[1], c[2], 255}, Paint(values))
}

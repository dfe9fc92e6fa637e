package terminal

import (
	"strings"

	"rsc.io/qr"
)

// quietZone is the margin of a QR code, in modules; readers need some.
const quietZone = 2

// QRCode draws text as a QR code, two modules to a character, or returns "" when it
// does not fit the screen or the output is not a terminal.
func (s Screen) QRCode(text string) string {
	code, err := qr.Encode(text, qr.L)
	if err != nil { // it is too long for any code
		return ""
	}
	size := code.Size + 2*quietZone
	if size > s.Width || (size+1)/2 > s.Height {
		return ""
	}
	light := func(x, y int) bool { return !code.Black(x-quietZone, y-quietZone) } // outside of the code, too
	var b strings.Builder
	for y := 0; y < size; y += 2 {
		var line strings.Builder
		for x := range size {
			line.WriteString(halves[light(x, y)][y+1 < size && light(x, y+1)])
		}
		b.WriteString(s.Paint(whiteOnBlack, line.String()) + "\n")
	}
	return b.String()
}

// halves are the characters of an upper and a lower module, light ones drawn: most
// terminals are dark.
var halves = map[bool]map[bool]string{
	true:  {true: "█", false: "▀"},
	false: {true: "▄", false: " "},
}

package dashboard

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quietZone is the margin of a QR code, in modules; readers need some.
const quietZone = 3

// qrCode is a QR code as the path of an SVG drawing.
type qrCode struct {
	Path string // "": the text does not fit any code
	Size int
}

// encodeQR draws text, one rectangle for each row of dark modules.
func encodeQR(text string) qrCode {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return qrCode{}
	}
	var b strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			began := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > began {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", began+quietZone, y+quietZone, x-began, x-began)
			}
		}
	}
	return qrCode{b.String(), code.Size + 2*quietZone}
}

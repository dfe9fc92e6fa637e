package terminal

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"rsc.io/qr"
)

func TestQRCode_HasTheModulesOfItsText(t *testing.T) {
	const text = "https://tenant.example.com/activate?user_code=QTZL-MCBW"
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix((Screen{Width: 80, Height: 50}).QRCode(text), "\n"), "\n")
	if n := code.Size + 2*quietZone; len(lines) != (n+1)/2 || utf8.RuneCountInString(lines[0]) != n {
		t.Fatalf("%d lines of %d characters", len(lines), utf8.RuneCountInString(lines[0]))
	}
	for i, line := range lines {
		for x, r := range []rune(line) {
			upper, lower := r == '█' || r == '▀', r == '█' || r == '▄'
			if upper == code.Black(x-quietZone, 2*i-quietZone) {
				t.Fatalf("module %d, %d is %c", x, 2*i, r)
			}
			if y := 2*i + 1; y < code.Size+2*quietZone && lower == code.Black(x-quietZone, y-quietZone) {
				t.Fatalf("module %d, %d is %c", x, y, r)
			}
		}
	}
}

func TestQRCode_OnlyWhereItFits(t *testing.T) {
	for name, c := range map[string]struct {
		s    Screen
		text string
		fits bool
	}{
		"terminal":   {Screen{Width: 80, Height: 24}, "https://tenant.example.com/activate?user_code=QTZL-MCBW", true},
		"pipe":       {Screen{}, "x", false},
		"narrow":     {Screen{Width: 20, Height: 50}, "https://tenant.example.com/activate?user_code=QTZL-MCBW", false},
		"low":        {Screen{Width: 80, Height: 10}, "https://tenant.example.com/activate?user_code=QTZL-MCBW", false},
		"a long URL": {Screen{Width: 80, Height: 24}, "https://tenant.example.com/authorize?state=" + strings.Repeat("x", 500), false},
		"no code":    {Screen{Width: 800, Height: 800}, strings.Repeat("x", 5000), false},
	} {
		if got := c.s.QRCode(c.text) != ""; got != c.fits {
			t.Errorf("%s: %t", name, got)
		}
	}
	if bytes.Contains([]byte(Screen{Width: 80, Height: 50}.QRCode("x")), []byte("\x1b")) {
		t.Error("coloured without colours")
	}
}

package metrics

import (
	"fmt"
	"io"

	"github.com/prometheus/common/expfmt"
)

// ContentType is the media type of what [Metrics.Write] writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// flushAt is how much of a scrape is kept in memory.
const flushAt = 64 << 10

// Scrape is what is read when the metrics are.
type Scrape struct {
	Clients []Client // that the caller may see
	States  []string // that a client can be in
	StoreUp bool
}

// Write writes all metrics.
func (m *Metrics) Write(w io.Writer, s Scrape) error {
	m.storeUp.Set(float64(btou(s.StoreUp)))
	if err := m.writeClients(w, s); err != nil {
		return err
	}
	families, err := m.registry.Gather()
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}

func (m *Metrics) writeClients(w io.Writer, s Scrape) error {
	p := &page{b: make([]byte, 0, flushAt+4<<10)}
	for _, f := range m.families(s.States) {
		p.begin(f)
		for _, c := range s.Clients {
			f.append(p, c)
			if len(p.b) > flushAt {
				if _, err := w.Write(p.b); err != nil {
					return err
				}
				p.b = p.b[:0]
			}
		}
	}
	_, err := w.Write(p.b)
	return err
}

//go:build unix

package mock_test

import (
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"

	"example.com/tokend/pkg/mock"
)

// BenchmarkThousandTenants starts 1,000 tenants that listen. The metrics are for one:
// CPU time, memory in use when all listen, and that of a tenant that has issued a token.
func BenchmarkThousandTenants(b *testing.B) {
	const n = 1000
	for b.Loop() {
		tb := &exampleT{}
		tenants := make([]*mock.Tenant, n)
		before, began := inUse(), cpuTime()
		for i := range tenants {
			tenants[i] = mock.Start(tb, mock.Config{})
		}
		took := cpuTime() - began
		started := inUse() - before
		for _, t := range tenants {
			res, err := direct().Get(t.Issuer() + ".well-known/jwks.json")
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		used := inUse() - before
		runtime.KeepAlive(tenants)
		tb.end()
		b.ReportMetric(float64(took.Microseconds())/n/1000, "cpu-ms/tenant")
		b.ReportMetric(float64(started)/n/1024, "KiB/tenant")
		b.ReportMetric(float64(used)/n/1024, "KiB/used-tenant")
	}
}

// inUse returns the memory of the heap and of the stacks after a collection.
func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse) //nolint:gosec // far below
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

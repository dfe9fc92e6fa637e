// Command bare is the lower limit that token reads are compared with: a gin handler
// that answers GET /v1/clients/demo/token with the bytes of its standard input and
// checks nothing.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/gin-gonic/gin"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func run() error {
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	length := strconv.Itoa(len(body))
	e.GET("/v1/clients/:client/token", func(c *gin.Context) {
		h := c.Writer.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Length", length)
		_, _ = c.Writer.Write(body) // the client may be gone
	})
	fmt.Fprintln(os.Stderr, "listening", l.Addr())
	return http.Serve(l, e) //nolint:gosec // no timeouts: it is the lower limit
}

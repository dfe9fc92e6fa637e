package daemon

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// resume allows the refresh of a grant whose store was restored from an older copy,
// and answers with the client's state.
func (d *api) resume(c *gin.Context) {
	cl := d.known(c)
	if cl == nil {
		return
	}
	ctx, cancel := detached(c.Request.Context())
	defer cancel()
	defer cl.life.use()()
	if err := cl.Resume(ctx); err != nil {
		d.log.WarnContext(ctx, "resume failed", failureOf(ctx, cl, err)...)
		d.failWith(c, cl, err)
		return
	}
	writeJSON(c, http.StatusOK, d.view(c.Request.Context(), cl))
}

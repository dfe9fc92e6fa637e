package daemon

import (
	"net/http"
	"path/filepath"

	"github.com/gin-gonic/gin"

	"example.com/tokend/internal/guard"
)

// serviceView is what a command needs to know of the service that runs.
type serviceView struct {
	Version   string `json:"version"`
	AuditFile string `json:"audit_file,omitempty"` // for callers that may do everything
	AuditKeep int    `json:"audit_keep,omitempty"`
}

// service answers with the files of the service. A command in another terminal may have
// other settings.
func (d *api) service(c *gin.Context) {
	v := serviceView{Version: d.version}
	if guard.CallerOf(c.Request.Context()).MayAll() {
		v.AuditFile, v.AuditKeep = d.audit.Files()
		if path, err := filepath.Abs(v.AuditFile); err == nil && v.AuditFile != "" {
			v.AuditFile = path
		}
	}
	writeJSON(c, http.StatusOK, v)
}

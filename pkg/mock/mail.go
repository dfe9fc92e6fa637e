package mock

import (
	"net/http"
	"slices"
	"time"
)

const maxMails = 1000 // the oldest are dropped

// Mail is a message that the tenant would send, by e-mail or SMS. The mock sends none;
// it shows them at /_mock/mails, with the secrets in them.
type Mail struct {
	Time       time.Time `json:"time"`
	Kind       string    `json:"kind"` // reset_password, verification_code, login_link
	To         string    `json:"to"`   // an e-mail address or phone number
	ClientID   string    `json:"client_id,omitempty"`
	Connection string    `json:"connection,omitempty"`
	Code       string    `json:"code,omitempty"`
	Link       string    `json:"link,omitempty"`
}

// send keeps a message. The caller holds t.mu.
func (t *Tenant) send(m Mail) {
	if len(t.st.mails) >= maxMails {
		t.st.mails = slices.Delete(t.st.mails, 0, maxMails/10)
	}
	t.st.mails = append(t.st.mails, m)
}

// Mails returns the messages that the tenant would have sent, oldest first.
func (t *Tenant) Mails() []Mail {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Mail{}, t.st.mails...)
}

func (t *Tenant) showMails(w http.ResponseWriter, _ *http.Request) {
	list := t.Mails()
	respondJSON(w, struct {
		Count int    `json:"count"`
		Mails []Mail `json:"mails"`
	}{len(list), list})
}

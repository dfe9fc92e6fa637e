package management

import (
	"maps"
	"net/http"
	"slices"
)

// family is one kind of objects: what is the same for each in lists, creates, reads,
// updates and deletes.
type family struct {
	kind     string
	key      string // of lists
	id       string // the member with the id; "" is id
	hidden   []string
	kept     []string // members of one object that ?fields= does not leave out
	missing  *Error
	deleted  int  // status of a delete
	strict   bool // a delete of an object that is gone is refused
	created  int  // status of a create; 0 is 201
	newID    func(c *call) string
	complete func(c *call, d Doc) error            // sets what a create leaves out, and checks
	change   func(c *call, old, d, sent Doc) error // checks an update, of which d is the outcome
	ended    func(c *call, d Doc)                  // after a delete
	find     func(c *call, ref string) (Doc, bool) // by another reference than the id
	shown    func(c *call, d Doc) Doc
}

func (f *family) idName() string {
	if f.id == "" {
		return "id"
	}
	return f.id
}

// lookUp returns a document by its id or another reference.
func (f *family) lookUp(c *call, ref string) (Doc, bool) {
	if d, found := c.get(f.kind, ref); found {
		return d, true
	}
	if f.find != nil {
		return f.find(c, ref)
	}
	return nil, false
}

// must is lookUp with the family's error.
func (f *family) must(c *call, ref string) (Doc, error) {
	if d, found := f.lookUp(c, ref); found {
		return d, nil
	}
	return nil, f.missing
}

// show returns what answers show of a document.
func (f *family) show(c *call, d Doc) Doc {
	out := maps.Clone(d)
	for _, name := range f.hidden {
		delete(out, name)
	}
	if f.shown != nil {
		out = f.shown(c, out)
	}
	return out
}

func (f *family) listOf(c *call, all []Doc) items {
	l := docs(f.key, all)
	l.item = func(i int) any { return c.selectFields(f.show(c, all[i])) }
	return l
}

func (f *family) list(accepts func(c *call, d Doc) bool) func(*call) (Answer, error) {
	return func(c *call) (Answer, error) {
		return c.list(f.listOf(c, c.all(f.kind, func(d Doc) bool { return accepts == nil || accepts(c, d) })))
	}
}

func (f *family) create(c *call) (Answer, error) {
	d := withoutNull(maps.Clone(c.body))
	id := f.newID(c)
	d[f.idName()] = id
	if f.complete != nil {
		if err := f.complete(c, d); err != nil {
			return Answer{}, err
		}
	}
	id = text(d, f.idName())
	if err := c.put(f.kind, id, d); err != nil {
		return Answer{}, err
	}
	status := f.created
	if status == 0 {
		status = http.StatusCreated
	}
	return f.answer(c, status, id)
}

// answer shows the stored document.
func (f *family) answer(c *call, status int, id string) (Answer, error) {
	d, _ := c.get(f.kind, id)
	return answer(status, f.show(c, d))
}

func (f *family) read(c *call) (Answer, error) {
	d, err := f.must(c, c.params[0])
	if err != nil {
		return Answer{}, err
	}
	return answer(http.StatusOK, c.selectFields(f.show(c, d), f.kept...))
}

func (f *family) update(c *call) (Answer, error) {
	old, err := f.must(c, c.params[0])
	if err != nil {
		return Answer{}, err
	}
	d := patch(f.kind, old, c.body)
	if f.change != nil {
		if err := f.change(c, old, d, c.body); err != nil {
			return Answer{}, err
		}
	}
	id := text(old, f.idName())
	if err := c.put(f.kind, id, d); err != nil {
		return Answer{}, err
	}
	return f.answer(c, http.StatusOK, id)
}

func (f *family) remove(c *call) (Answer, error) {
	d, found := f.lookUp(c, c.params[0])
	if !found && f.strict {
		return Answer{}, f.missing
	}
	if found {
		if f.ended != nil {
			f.ended(c, d)
		}
		c.State.Remove(f.kind, text(d, f.idName()))
	}
	if f.deleted == http.StatusOK {
		return emptyObject(http.StatusOK)
	}
	return empty()
}

// without returns a list of texts without some.
func without(list []string, gone ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(gone, s) })
}

// with returns a list of texts with some that it lacks.
func with(list []string, more ...string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(slices.Clip(list), s)
		}
	}
	return list
}

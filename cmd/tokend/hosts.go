package main

import "regexp"

// hostEntry is an entry of a client's hosts: where its token may go.
var hostEntry = regexp.MustCompile(`^([^@\s/:]+@)?([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// Package consumers tests tokend's formats with the programs and libraries that
// they are made for: git, Terraform, curl, and the code of kubectl, Docker and
// Google's clients. It is a module of its own, so that their dependencies stay
// out of tokend's.
package consumers

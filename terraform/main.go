// Command terraform-provider-tokend is Terraform's way to tokend: tokens that
// no plan and no state ever holds. docs/index.md is its manual.
package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"example.com/tokend/terraform/internal/provider"
)

// version is set by -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	debug := flag.Bool("debug", false, "run by hand under a debugger; Terraform finds it by the variable that is printed")
	flag.Parse()
	err := providerserver.Serve(context.Background(), provider.New(version, os.Getenv), providerserver.ServeOpts{
		Address: "registry.terraform.io/tokend/tokend",
		Debug:   *debug,
	})
	if err != nil {
		log.Fatal(err)
	}
}

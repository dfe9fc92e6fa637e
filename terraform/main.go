// Command terraform-provider-tokend is the Terraform provider of tokend: its tokens are
// in no plan and no state. See docs/index.md.
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
	debug := flag.Bool("debug", false, "run manually under a debugger; Terraform finds the provider by the printed variable")
	flag.Parse()
	err := providerserver.Serve(context.Background(), provider.New(version, os.Getenv), providerserver.ServeOpts{
		Address: "registry.terraform.io/tokend/tokend",
		Debug:   *debug,
	})
	if err != nil {
		log.Fatal(err)
	}
}

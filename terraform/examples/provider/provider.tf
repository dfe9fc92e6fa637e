terraform {
  required_version = ">= 1.10" # the first with ephemeral resources
  required_providers {
    tokend = {
      source = "tokend/tokend"
    }
  }
}

# Where tokend runs as the same user there is nothing to configure: socket, port
# and key are found as the tokend command finds them.
provider "tokend" {}

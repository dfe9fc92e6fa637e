terraform {
  required_version = ">= 1.10" # the first with ephemeral resources
  required_providers {
    tokend = {
      source = "tokend/tokend"
    }
  }
}

# If tokend runs as the same user there is nothing to configure: the provider finds
# socket, port and key like the tokend command does.
provider "tokend" {}

variable "api" {
  type    = string
  default = "https://api.example.com"
}

ephemeral "tokend_token" "calls" {
  client       = "demo"
  min_validity = "30m" # as long as the run may take
}

# A provider's configuration accepts it in the same way. Here it is in the environment of
# a command, not in its arguments, which every user of the machine can read.
resource "terraform_data" "call" {
  provisioner "local-exec" {
    command = "printf 'Authorization: %s' \"$AUTHORIZATION\" | curl -sS --fail --noproxy '*' -H @- \"$API/calls\""
    environment = {
      API           = var.api
      AUTHORIZATION = ephemeral.tokend_token.calls.authorization_header
    }
  }
}

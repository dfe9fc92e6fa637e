ephemeral "tokend_token" "calls" {
  client = "demo"
}

resource "terraform_data" "run" {
  lifecycle {
    precondition {
      condition     = timecmp(provider::tokend::jwt_expiry(ephemeral.tokend_token.calls.access_token), timeadd(timestamp(), "30m")) > 0
      error_message = "The token of client demo expires in less than half an hour."
    }
  }
}

ephemeral "tokend_token" "calls" {
  client = "demo"
}

resource "terraform_data" "run" {
  lifecycle {
    precondition {
      condition     = contains(flatten([provider::tokend::jwt_claims(ephemeral.tokend_token.calls.access_token).aud]), "https://api.example.com/")
      error_message = "The token of client demo is for another API: check its audience in tokend's configuration."
    }
  }
}

data "tokend_client" "demo" {
  client = "demo"
}

# A warning in each plan and apply, which continues.
check "login" {
  assert {
    condition     = contains(["ready", "degraded"], data.tokend_client.demo.state)
    error_message = "Client demo is ${data.tokend_client.demo.state}: tokend login demo"
  }
  assert {
    condition     = try(timecmp(data.tokend_client.demo.grant_ends_at, timeadd(plantimestamp(), "48h")) > 0, true)
    error_message = "A person must log in again soon: tokend login demo"
  }
}

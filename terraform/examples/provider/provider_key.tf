# With a key that opens some clients only. An ephemeral variable is in no plan.
variable "tokend" {
  type = object({
    endpoint = string # such as http://127.0.0.1:8484
    api_key  = string
  })
  ephemeral = true
  sensitive = true
}

provider "tokend" {
  alias    = "limited"
  endpoint = var.tokend.endpoint
  api_key  = var.tokend.api_key
}

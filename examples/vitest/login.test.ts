import * as client from "openid-client"
import { start, type Mock } from "mockauth0"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"

const redirect_uri = "http://localhost:3000/callback"
let mock: Mock

beforeAll(async () => {
  mock = await start()
})
beforeEach(() => mock.reset())
afterAll(() => mock.stop())

function discover() {
  return client.discovery(new URL(mock.issuer), "demo", undefined, client.ClientSecretPost("demo-secret"), {
    execute: [client.allowInsecureRequests], // the mock speaks http
  })
}

// login goes through the authorization code flow. The mock logs in its first user and
// redirects without a page, so that no browser is needed.
async function login(config: client.Configuration) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri,
    scope: "openid email offline_access",
    state: expectedState,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
  })
  const response = await fetch(url, { redirect: "manual" })
  const callback = new URL(response.headers.get("location")!)
  return client.authorizationCodeGrant(config, callback, { pkceCodeVerifier, expectedState, idTokenExpected: true })
}

test("a user logs in by the authorization code flow", async () => {
  const config = await discover()
  const tokens = await login(config)
  expect(tokens.claims()?.email).toBe("agent@example.com")
  const calls = await mock.requests({ endpoint: "token" })
  expect(calls.map((call) => [call.grant, call.status])).toEqual([["authorization_code", 200]])
})

test("an access token expires when the clock moves", async () => {
  const config = await discover()
  const tokens = await login(config)
  const userinfo = () => client.fetchUserInfo(config, tokens.access_token, tokens.claims()!.sub)
  await expect(userinfo()).resolves.toMatchObject({ email: "agent@example.com" })
  await mock.clock.advance("25h")
  await expect(userinfo()).rejects.toMatchObject({ status: 401 })
})

test("a refresh works after the tenant was out of order", async () => {
  const config = await discover()
  const { refresh_token } = await login(config)
  await mock.faults.arm({ endpoint: "token", grant: "refresh_token", kind: "status", status: 503, times: 1 })
  await expect(client.refreshTokenGrant(config, refresh_token!)).rejects.toMatchObject({ cause: { status: 503 } })
  await expect(client.refreshTokenGrant(config, refresh_token!)).resolves.toHaveProperty("access_token")
})

test("a user who is blocked is refused, and the journal says why", async () => {
  const config = await discover()
  const { refresh_token } = await login(config)
  await mock.control("PATCH", "users/agent@example.com", { blocked: true })
  await expect(client.refreshTokenGrant(config, refresh_token!)).rejects.toMatchObject({ error: "invalid_grant" })
  const [call] = await mock.requests({ endpoint: "token", status: "403" })
  expect(call?.reason).toContain("blocked")
})

// The application under test: it knows who is logged in by a cookie.
import { randomUUID } from "node:crypto"
import { createServer } from "node:http"
import * as client from "openid-client"

const origin = "http://localhost:3000"
const config = await client.discovery(
  new URL("http://localhost:8400/"),
  "app",
  undefined,
  client.ClientSecretPost("app-secret"),
  { execute: [client.allowInsecureRequests] }, // the mock speaks http
)
const logins = new Map() // state → code_verifier
const sessions = new Map() // cookie → name of the user

async function login() {
  const state = client.randomState()
  const verifier = client.randomPKCECodeVerifier()
  logins.set(state, verifier)
  return client.buildAuthorizationUrl(config, {
    redirect_uri: `${origin}/callback`,
    scope: "openid profile",
    state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  }).href
}

async function finish(url) {
  const state = url.searchParams.get("state")
  const tokens = await client.authorizationCodeGrant(config, url, {
    pkceCodeVerifier: logins.get(state),
    expectedState: state,
    idTokenExpected: true,
  })
  logins.delete(state)
  const session = randomUUID()
  sessions.set(session, tokens.claims().name)
  return session
}

function home(request) {
  const session = /session=([^;]+)/.exec(request.headers.cookie)?.[1]
  const user = sessions.get(session)
  return user ? `<h1>Hello ${user}</h1>` : '<h1>Hello</h1><a href="/login">Log in</a>'
}

createServer(async (request, response) => {
  try {
    const url = new URL(request.url, origin)
    if (url.pathname === "/login") {
      response.writeHead(302, { Location: await login() }).end()
    } else if (url.pathname === "/callback") {
      const cookie = `session=${await finish(url)}; Path=/; HttpOnly; SameSite=Lax`
      response.writeHead(302, { Location: "/", "Set-Cookie": cookie }).end()
    } else {
      response.writeHead(200, { "Content-Type": "text/html" }).end(home(request))
    }
  } catch (error) {
    console.error(error)
    response.writeHead(500).end("the login failed")
  }
}).listen(3000, "localhost")

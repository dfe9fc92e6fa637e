declare global {
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol
  }
}

/** How the tenant starts. MOCKAUTH0_* of the environment have no effect. */
export interface Options {
  /** The port on 127.0.0.1 and ::1; by default one that is free. */
  port?: number
  /** "auto", the default, logs in and consents without pages; "form" shows them. */
  login?: 'auto' | 'form'
  /** Files or directories of an auth0-deploy-cli export; by default the built-in tenant. */
  tenant?: string | string[]
  /** Accepts settings with which a real tenant refuses what the mock allows. */
  lax?: boolean
  /** Other settings, such as MOCKAUTH0_PROFILE; `mockauth0 serve --help` lists them. */
  env?: Record<string, string>
  /** Gets each line of the tenant's log. */
  log?: (line: string) => void
  /** The path of the binary; by default that of the package for this platform. */
  binary?: string
}

export interface Time {
  now: Date
  frozen: boolean
}

/** The tenant's clock: everything that expires follows it. */
export interface Clock {
  get(): Promise<Time>
  /** Takes a duration of Go, such as "25h" or "-90s". */
  advance(duration: string): Promise<Time>
  set(time: Date | string | number): Promise<Time>
  freeze(frozen?: boolean): Promise<Time>
}

/** A failure to inject; docs/mock.md has the members of each kind. */
export interface Fault {
  endpoint: 'authorize' | 'token' | 'userinfo' | 'jwks' | 'discovery' | 'revoke' | 'device' | 'par' | (string & {})
  kind: 'status' | 'body' | 'redirect' | 'delay' | 'hang' | 'reset' | 'truncate' | 'drip' | (string & {})
  grant?: string
  client_id?: string
  /** How often it hits; by default until it is cleared. */
  times?: number
  status?: number
  headers?: Record<string, string>
  body?: string
  /** A duration of Go, such as "1.5s". */
  delay?: string
  bytes?: number
  /** The tenant handles the request, then the answer fails. */
  after_commit?: boolean
  [member: string]: unknown
}

export interface ArmedFault extends Fault {
  hits: number
  armed: boolean
}

export interface Faults {
  arm(fault: Fault): Promise<Fault>
  list(): Promise<ArmedFault[]>
  clear(): Promise<void>
}

/** A call that the tenant has answered. */
export interface Request {
  /** The answer's X-Auth0-RequestId. */
  id: string
  /** RFC 3339, by the tenant's clock. */
  time: string
  method: string
  path: string
  endpoint: string
  grant?: string
  client_id?: string
  status: number
  /** Why the tenant refused the call. */
  reason?: string
  /** The id of the call that issued its code or token. */
  parent?: string
  [member: string]: unknown
}

/** A running tenant. */
export interface Mock {
  /** With the slash at its end, such as http://localhost:54321/ */
  readonly issuer: string
  readonly clock: Clock
  readonly faults: Faults
  /** The journal, oldest first; the filter has members such as endpoint, grant, client_id. */
  requests(filter?: Record<string, string>): Promise<Request[]>
  /** Returns to the start: tenant, clock, journal and faults. */
  reset(): Promise<void>
  /** Any other call of the control API: control("PATCH", "users/ann@example.com", { blocked: true }) */
  control(method: string, path: string, body?: unknown): Promise<any>
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a tenant, which ends with stop() or with this process, and waits until it answers. */
export function start(options?: Options): Promise<Mock>

/** The path of the binary for this platform. */
export function binary(): string

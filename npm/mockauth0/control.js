'use strict'

// control returns a function that calls the control API under /_mock/ of a tenant.
function control(issuer) {
  return async (method, path, body) => {
    const response = await fetch(new URL(`_mock/${path}`, issuer), {
      method,
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await response.text()
    if (!response.ok) {
      throw new Error(`${method} /_mock/${path}: ${response.status} ${text.trim()}`)
    }
    return response.headers.get('Content-Type')?.startsWith('application/json') ? JSON.parse(text) : text
  }
}

function clock(call) {
  const at = ({ now, frozen }) => ({ now: new Date(now), frozen })
  const set = async (change) => at(await call('POST', 'clock', change))
  return {
    get: async () => at(await call('GET', 'clock')),
    advance: (duration) => set({ advance: duration }),
    set: (time) => set({ set: new Date(time).toISOString() }),
    freeze: (frozen = true) => set({ freeze: frozen }),
  }
}

function faults(call) {
  return {
    arm: (fault) => call('POST', 'faults', fault),
    list: async () => (await call('GET', 'faults')).faults,
    clear: async () => void (await call('DELETE', 'faults')),
  }
}

// methods are those of a Mock that call the control API.
function methods(issuer) {
  const call = control(issuer)
  return {
    control: call,
    clock: clock(call),
    faults: faults(call),
    requests: async (filter = {}) => (await call('GET', `requests?${new URLSearchParams(filter)}`)).requests,
    reset: async () => void (await call('POST', 'reset', {})),
  }
}

module.exports = { methods }

'use strict'

const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { createInterface } = require('node:readline')

const { binary } = require('./binary.js')
const { methods } = require('./control.js')

// environment is what the tenant gets: settings come from the options and not from the
// caller's MOCKAUTH0_*, so that a test is the same on every machine.
function environment(options) {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('MOCKAUTH0_'))
  return {
    ...Object.fromEntries(own),
    MOCKAUTH0_LOGIN: options.login ?? 'auto',
    ...options.env,
    MOCKAUTH0_LISTEN: `127.0.0.1:${options.port ?? 0}`,
  }
}

function flags(options) {
  const tenants = [options.tenant ?? []].flat()
  return [...tenants.flatMap((path) => ['--tenant', path]), ...(options.lax ? ['--lax'] : [])]
}

// issuerOf waits until the tenant has logged its issuer. It also reads the rest of the
// log, because a full pipe would block the tenant.
function issuerOf(child, log) {
  return new Promise((resolve, reject) => {
    const lines = []
    let issuer
    const reader = createInterface({ input: child.stderr })
    reader.on('line', (line) => {
      log?.(line)
      if (issuer) return
      lines.push(line)
      issuer = /^mockauth0: issuer (\S+), /.exec(line)?.[1]
      if (issuer) resolve(issuer)
    })
    reader.on('close', () => reject(new Error(`mockauth0 did not start:\n${lines.join('\n')}`)))
    child.on('error', reject)
  })
}

async function start(options = {}) {
  const child = spawn(options.binary ?? binary(), ['serve', '--until-eof', ...flags(options)], {
    env: environment(options),
    stdio: ['pipe', 'ignore', 'pipe'],
    windowsHide: true,
  })
  const ended = once(child, 'close').catch(() => {}) // issuerOf reports why it did not start
  const handles = [child, child.stdin, child.stderr]
  const stop = async () => {
    for (const handle of handles) handle.ref()
    child.stdin.end()
    await ended
  }
  try {
    const issuer = await issuerOf(child, options.log)
    const api = methods(options.port ? `http://localhost:${options.port}/` : issuer)
    await api.control('GET', 'health')
    for (const handle of handles) handle.unref() // a program that forgets stop() can end
    return { issuer, ...api, stop, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

module.exports = { binary, start }

#!/usr/bin/env node
'use strict'

const { spawn } = require('node:child_process')
const { binary } = require('../binary.js')

let path
try {
  path = binary()
} catch (error) {
  console.error(`mockauth0: ${error.message}`)
  process.exit(1)
}

// The handlers come first: a signal that arrives before them would leave the tenant running.
let child
let early
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => (child ? child.kill(signal) : (early = signal)))
}
child = spawn(path, process.argv.slice(2), { stdio: 'inherit' })
if (early) child.kill(early)
child.on('error', (error) => {
  console.error(`mockauth0: ${error.message}`)
  process.exit(1)
})
child.on('exit', (code) => process.exit(code ?? 1))

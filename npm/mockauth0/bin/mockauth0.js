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

const child = spawn(path, process.argv.slice(2), { stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => child.kill(signal))
}
child.on('error', (error) => {
  console.error(`mockauth0: ${error.message}`)
  process.exit(1)
})
child.on('exit', (code) => process.exit(code ?? 1))

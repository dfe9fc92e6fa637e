'use strict'

// The binary is in a package for this platform, an optional dependency: npm installs the
// one whose "os" and "cpu" match, so that no install script is needed.
function binary() {
  const platform = `${process.platform}-${process.arch}`
  const name = `@mockauth0/${platform}`
  if (!(name in require('./package.json').optionalDependencies)) {
    throw new Error(`mockauth0 has no binary for ${platform}; hint: build one with Go and pass its path to start({ binary })`)
  }
  try {
    return require.resolve(`${name}/bin/mockauth0${process.platform === 'win32' ? '.exe' : ''}`)
  } catch (cause) {
    throw new Error(
      `the package ${name} is missing; hint: run npm install on this machine, and without --omit=optional`,
      { cause },
    )
  }
}

module.exports = { binary }

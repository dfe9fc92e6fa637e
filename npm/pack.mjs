// Makes the npm packages of mockauth0:
//
//   node npm/pack.mjs VERSION BINARIES OUT
//
// BINARIES has a folder for each platform, such as linux-x64, with the program. OUT gets
// a tarball for each of them and that of "mockauth0", whose optional dependencies they are.
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [version, binaries, out] = process.argv.slice(2)
if (!out || !/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version)) {
  console.error('usage: node npm/pack.mjs VERSION BINARIES OUT\nhint: VERSION is that of npm, such as 1.2.3 or 1.2.3-rc.1')
  process.exit(64)
}

const here = import.meta.dirname
const main = JSON.parse(readFileSync(join(here, 'mockauth0', 'package.json'), 'utf8'))
// npm compares it with the repository of the workflow that publishes.
const repository = process.env.GITHUB_REPOSITORY ?? 'tokend/tokend'
const common = {
  version,
  license: main.license,
  repository: { type: 'git', url: `git+https://github.com/${repository}.git`, directory: 'npm' },
}

const work = mkdtempSync(join(tmpdir(), 'mockauth0-npm-'))
try {
  const platforms = readdirSync(binaries).sort()
  const packages = [...platforms.map(platformPackage), mainPackage(platforms)]
  pack(packages)
} finally {
  rmSync(work, { recursive: true })
}

function platformPackage(platform) {
  const [os, cpu] = platform.split('-')
  const dir = join(work, platform)
  const program = os === 'win32' ? 'mockauth0.exe' : 'mockauth0'
  mkdirSync(join(dir, 'bin'), { recursive: true })
  copyFileSync(join(binaries, platform, program), join(dir, 'bin', program))
  chmodSync(join(dir, 'bin', program), 0o755)
  writeFileSync(join(dir, 'README.md'), `The program of the package mockauth0 for ${platform}.\n`)
  return describe(dir, {
    name: `@mockauth0/${platform}`,
    description: `mockauth0 for ${platform}`,
    ...common,
    preferUnplugged: true, // a program cannot run from an archive
    files: ['bin'],
    os: [os],
    cpu: [cpu],
  })
}

function mainPackage(platforms) {
  const dir = join(work, 'mockauth0')
  cpSync(join(here, 'mockauth0'), dir, { recursive: true })
  const optionalDependencies = Object.fromEntries(platforms.map((platform) => [`@mockauth0/${platform}`, version]))
  return describe(dir, { ...main, ...common, optionalDependencies })
}

function describe(dir, manifest) {
  copyFileSync(join(here, '..', 'LICENSE'), join(dir, 'LICENSE'))
  writeFileSync(join(dir, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  return dir
}

function pack(packages) {
  mkdirSync(out, { recursive: true })
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  execFileSync(npm, ['pack', '--ignore-scripts', '--loglevel=error', '--pack-destination', out, ...packages], { stdio: 'inherit' })
}

import { defineConfig } from "@playwright/test"

export default defineConfig({
  testDir: "tests",
  use: {
    baseURL: "http://localhost:3000",
    // A browser of the system, in place of the one that "npx playwright install" downloads.
    launchOptions: { executablePath: process.env.CHROMIUM || undefined },
  },
  projects: [
    { name: "login", testMatch: "login.setup.mjs" },
    { name: "tests", dependencies: ["login"], use: { storageState: ".auth/ann.json" } },
  ],
  webServer: [
    {
      command: "npx mockauth0 --tenant tenant.yaml",
      url: "http://localhost:8400/_mock/health",
      env: { MOCKAUTH0_LISTEN: "127.0.0.1:8400", MOCKAUTH0_LOGIN: "form" },
    },
    { command: "node app.mjs", url: "http://localhost:3000/" },
  ],
})

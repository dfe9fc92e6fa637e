import { expect, test } from "@playwright/test"

test("log in by the tenant's page", async ({ page }) => {
  await page.goto("/")
  await page.getByRole("link", { name: "Log in" }).click()
  await page.getByLabel("Email").fill("ann@example.com")
  await page.getByLabel("Password").fill("password")
  await page.getByRole("button", { name: "Continue" }).click()
  await page.getByRole("button", { name: "Accept" }).click() // Auth0 asks for consent where an application is on localhost
  await expect(page.getByRole("heading", { name: "Hello Ann" })).toBeVisible()
  await page.context().storageState({ path: ".auth/ann.json" })
})

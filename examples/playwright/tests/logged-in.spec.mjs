import { expect, test } from "@playwright/test"

test("the application knows the user", async ({ page }) => {
  await page.goto("/")
  await expect(page.getByRole("heading", { name: "Hello Ann" })).toBeVisible()
})

test("the tenant knows the user and shows no page", async ({ page, context }) => {
  await context.clearCookies({ name: "session" }) // the application's, not the tenant's
  await page.goto("/")
  await page.getByRole("link", { name: "Log in" }).click()
  await expect(page.getByRole("heading", { name: "Hello Ann" })).toBeVisible()
})

test.describe("a browser without the state", () => {
  test.use({ storageState: { cookies: [], origins: [] } })

  test("is not logged in", async ({ page }) => {
    await page.goto("/")
    await page.getByRole("link", { name: "Log in" }).click()
    await expect(page.getByLabel("Password")).toBeVisible()
  })
})

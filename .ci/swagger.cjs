// Swagger UI as a newcomer uses it: log in with client credentials, try an operation, get 200.
const { inBrowser } = require('./browser.cjs');

const { DEMO_URL: base, DEMO_CLIENT_ID: id, DEMO_CLIENT_SECRET: secret } = process.env;

inBrowser(base, {}, async (page, shoot) => {
    await page.goto(`${base}/docs`);
    await page.locator('.opblock').first().waitFor();
    await shoot('1-docs');

    await page.locator('.auth-wrapper .authorize').click();
    const dialog = page.locator('.modal-ux');
    await dialog.locator('input[id^="client_id"]').fill(id);
    await dialog.locator('input[id^="client_secret"]').fill(secret);
    await dialog.getByText('select all').click();
    await shoot('2-authorize');
    const answered = page.waitForResponse(response => response.url() === `${base}/oauth2/token`);
    await dialog.locator('.auth-btn-wrapper .authorize').click();
    const token = await answered;
    if (token.status() !== 200) throw new Error(`the token endpoint answers ${token.status()}: ${await token.text()}`);
    await dialog.getByText('Authorized').first().waitFor();
    await dialog.locator('.auth-btn-wrapper .btn-done').click();

    const operation = page.locator('#operations-Devices-listDevices');
    await operation.locator('.opblock-summary').first().click();
    const called = page.waitForResponse(response => response.url().startsWith(`${base}/v1/devices`));
    await operation.locator('button.execute').click();
    const devices = await called;
    await operation.locator('.responses-table.live-responses-table').waitFor();
    await operation.scrollIntoViewIfNeeded();
    await shoot('3-devices');
    if (devices.status() !== 200) throw new Error(`GET /v1/devices answers ${devices.status()}: ${await devices.text()}`);
    const { items } = await devices.json();
    if (!items.length) throw new Error('there are no devices');
    console.log(`Swagger UI logged in with client credentials and got ${items.length} devices.`);
});

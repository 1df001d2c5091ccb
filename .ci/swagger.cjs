// Swagger UI as a newcomer uses it: log in with client credentials, try an operation, get 200.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { chromium } = require('playwright-core');

const { DEMO_URL: base, DEMO_CLIENT_ID: id, DEMO_CLIENT_SECRET: secret, SCREENSHOTS: shots } = process.env;

async function main() {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'dmwsi-browser-'));
    const browser = await chromium.launchPersistentContext(profile, {
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        headless: true,
        viewport: { width: 1280, height: 1400 },
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    try {
        const page = await browser.newPage();
        const complaints = [];
        page.on('console', message => message.type() === 'error' && complaints.push(message.text()));
        page.on('pageerror', error => complaints.push(String(error)));
        page.on('request', request => new URL(request.url()).protocol !== 'data:' && !request.url().startsWith(base)
            && complaints.push(`it asks elsewhere: ${request.url()}`));
        const shoot = name => shots ? page.screenshot({ path: path.join(shots, `${name}.png`) }) : undefined;

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
        if (complaints.length) throw new Error(`the browser complains:\n${complaints.join('\n')}`);
        console.log(`Swagger UI logged in with client credentials and got ${items.length} devices.`);
    } finally {
        await browser.close();
        fs.rmSync(profile, { recursive: true, force: true });
    }
}

main().catch(error => {
    console.error(error);
    process.exit(1);
});

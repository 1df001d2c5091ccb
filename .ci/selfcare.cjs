// The self-care page as the user of a device sees it: once with scripts, once without.
const { inBrowser } = require('./browser.cjs');

const base = process.env.DEMO_SELFCARE_URL;
const must = (holds, what) => { if (!holds) throw new Error(what); };

// Finds a device that has an update, agrees to it and waits for its end. Brings the versions that were seen on the way.
async function update(page, shoot, name, model, version) {
    await page.goto(base);
    await page.getByRole('heading', { name: 'Your devices' }).waitFor();
    await shoot(`${name}-1-devices`);
    await page.getByRole('link', { name: model }).first().click();
    const install = page.getByRole('link', { name: `Install ${version}` });
    await install.waitFor();
    const reasons = await page.locator('li[data-code]').allTextContents();
    must(reasons.length, 'no reason is given for what does not fit');
    await shoot(`${name}-2-device`);
    await install.click();

    // Without the tick the browser itself keeps the form back.
    await page.getByRole('button', { name: 'Install now' }).click();
    must(page.url().includes('/install/'), 'it was installed without consent');
    await page.getByRole('checkbox').check();
    await shoot(`${name}-3-consent`);
    await page.getByRole('button', { name: 'Install now' }).click();
    await page.waitForURL(/\/updates\//);

    const seen = new Set();
    const until = Date.now() + 20_000;
    for (;;) {
        must(Date.now() < until, `the update does not end: ${[...seen].join(' / ')}`);
        // Between two pages there may be none.
        const says = await page.locator('[role=status]').textContent({ timeout: 5_000 }).catch(() => null);
        if (says && !seen.has(says)) {
            seen.add(says);
            if (says.includes('downloading')) await shoot(`${name}-4-live`);
        }
        if (says?.startsWith('Done')) break;
        await page.waitForTimeout(100);
    }
    await shoot(`${name}-5-done`);
    must(seen.size > 1, 'no progress was seen');
    const now = await page.locator('dt:has-text("Firmware now") + dd').textContent();
    must(now === version, `the device has ${now}`);
    await page.getByRole('link', { name: 'Back to the device' }).click();
    await page.getByText('The last update that you asked for').waitFor();
    console.log(`${name}: ${[...seen].join(' / ')}`);
}

async function main() {
    await inBrowser(base, {}, (page, shoot) => update(page, shoot, 'with-scripts', 'Acme One', '2.1.0'));
    await inBrowser(base, { javaScriptEnabled: false }, async (page, shoot) => {
        await update(page, shoot, 'without-scripts', 'Acme Two', '2.0.0');
        await page.goto(base);
        await page.getByLabel('Model').fill('Two');
        await page.getByLabel('Firmware version').fill('1.5.0');
        await page.getByRole('button', { name: 'What is there for it?' }).click();
        await page.getByText('Acme Two 2.0.0').waitFor();
        await shoot('6-described');
    });
}

main();

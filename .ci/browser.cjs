// A real browser with an empty profile, which must find nothing to complain of and ask nobody but the page's own server.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { chromium } = require('playwright-core');

// Runs a visit; a complaint or an error ends the process with 1. SCREENSHOTS=folder keeps what the browser saw.
exports.inBrowser = async (base, options, visit) => {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'dmwsi-browser-'));
    const browser = await chromium.launchPersistentContext(profile, {
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        headless: true,
        viewport: { width: 1280, height: 1400 },
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
        ...options,
    });
    try {
        const page = await browser.newPage();
        const complaints = [];
        page.on('console', message => message.type() === 'error' && complaints.push(message.text()));
        page.on('pageerror', error => complaints.push(String(error)));
        page.on('request', request => new URL(request.url()).protocol !== 'data:' && !request.url().startsWith(base)
            && complaints.push(`it asks elsewhere: ${request.url()}`));
        const shots = process.env.SCREENSHOTS;
        await visit(page, name => shots ? page.screenshot({ path: path.join(shots, `${name}.png`) }) : undefined);
        if (complaints.length) throw new Error(`the browser complains:\n${complaints.join('\n')}`);
    } catch (error) {
        console.error(error);
        process.exitCode = 1;
    } finally {
        await browser.close();
        fs.rmSync(profile, { recursive: true, force: true });
    }
};

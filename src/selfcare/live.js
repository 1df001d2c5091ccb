// Keeps a page up to date while what it shows goes on. Without it the page loads itself anew.
const main = () => document.querySelector('main');
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));

async function follow() {
    while (main().dataset.live) {
        await pause(700);
        try {
            const answer = await fetch(location.href);
            const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main');
            // A page of trouble passes by itself: what was last known stays.
            if (answer.ok && fresh) main().replaceWith(fresh);
        } catch {
            await pause(2000);
        }
    }
}

follow();

// The live page in a real browser: against a running gateway, and against the page's own small
// gateway where something has to go wrong on command.
//
// Usage: TAPECAST_BROWSER=/usr/bin/chromium node browser.mjs http://HOST:PORT/ [SCREENSHOT_DIR]
//
// The page is read through its data-testid attributes and the keyboard, as a user would use it.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { MockGateway } from '../../crates/gateway/page/test/mock_gateway.js';

const [url, pictures] = process.argv.slice(2);
const PATIENCE_MS = 15_000;
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

const browser = await chromium.launch({ executablePath: process.env.TAPECAST_BROWSER || '/usr/bin/chromium', args: FLAGS });
let passed = 0;
let failed = 0;

/** Opens a page that collects what goes wrong in it. */
async function open(to, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1_440, height: 900 }, ...options });
  page.setDefaultTimeout(PATIENCE_MS);
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(error.message));
  page.on('console', (message) => {
    // A lost connection is reported by the browser itself; everything else is ours.
    if (message.type() === 'error' && !/WebSocket|ERR_/.test(message.text())) page.problems.push(message.text());
  });
  page.part = (name) => page.locator(`[data-testid="${name}"]`);
  page.text = (name) => page.part(name).first().textContent();
  page.waitText = (name, expected) => page.waitForFunction(
    ([id, source]) => new RegExp(source).test(document.querySelector(`[data-testid="${id}"]`)?.textContent ?? ''),
    [name, expected.source],
  );
  await page.goto(to);
  await page.waitText('connection-state', /^live$/);
  return page;
}

async function check(what, run) {
  try {
    await run();
    passed += 1;
    console.log(`ok     ${what}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${what}: ${error.message.split('\n').slice(0, 4).join(' ')}`);
  }
}

async function withPage(to, options, run) {
  const page = await open(to, options);
  try {
    await run(page);
    assert.deepEqual(page.problems, [], 'the browser complains');
  } finally {
    await page.close();
  }
}

/** A gateway of our own, moving all the time. */
async function withFaults(run, steps = 4) {
  const gateway = new MockGateway({ heartbeatMs: 200 });
  const to = await gateway.listen();
  const market = setInterval(() => gateway.step(steps), 10);
  try {
    await withPage(to, {}, async (page) => {
      await page.waitText('checksum', /verified/);
      await run(page, gateway);
    });
  } finally {
    clearInterval(market);
    await gateway.close();
  }
}

await check('the watch list shows every instrument with live prices', () => withPage(url, {}, async (page) => {
  await page.waitForFunction(() => document.querySelectorAll('[data-testid="watch-row"]').length >= 50);
  await page.waitForFunction(() => [...document.querySelectorAll('[data-testid="watch-row"]')].slice(0, 20)
    .every((row) => ['last', 'bid', 'ask'].every((part) => /\d/.test(row.querySelector(`[data-testid="watch-${part}"]`).textContent))));
  const before = await page.part('watch').textContent();
  await page.waitForFunction((text) => document.querySelector('[data-testid="watch"]').textContent !== text, before);
}));

await check('the ladder is a book whose checksums agree, and the tape runs', () => withPage(url, {}, async (page) => {
  await page.waitText('checksum', /verified/);
  await page.waitForFunction(() => Number(document.querySelector('[data-testid="checksum"]').dataset.passed) > 20);
  const prices = (side) => page.$$eval(`[data-testid="level-${side}"]:not([hidden]) .price`,
    (cells) => cells.map((cell) => Number(cell.textContent.replaceAll(',', ''))));
  const [asks, bids] = [await prices('ask'), await prices('bid')];
  assert.ok(asks.length >= 5 && bids.length >= 5, `${asks.length} asks, ${bids.length} bids`);
  assert.ok(asks.every((price, i) => i === 0 || price > asks[i - 1]), 'asks rise');
  assert.ok(bids.every((price, i) => i === 0 || price < bids[i - 1]), 'bids fall');
  await page.waitForFunction(() => document.querySelectorAll('[data-testid="trade"]').length >= 10);
  assert.equal(await page.text('gaps'), '0');
  assert.equal(await page.text('resyncs'), '0');
  assert.match(await page.text('position'), /epoch \d+ · seq \d+/);
  await page.waitText('rtt', /ms/);
  if (pictures) await page.screenshot({ path: `${pictures}/page-dark.png` });
}));

await check('keys move the selection, and the views follow', () => withPage(url, {}, async (page) => {
  const symbol = (at) => page.$$eval('[data-testid="watch-row"]', (rows, i) => rows[i].dataset.key.split(':')[1], at);
  await page.waitText('focus-symbol', /-/);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.text('focus-symbol'), await symbol(2));
  await page.keyboard.press('k');
  assert.equal(await page.text('focus-symbol'), await symbol(1));
  assert.equal(await page.locator('[aria-selected="true"]').count(), 1);
  await page.waitText('checksum', /verified/);
  assert.equal(await page.text('resyncs'), '0', 'a frame of the old selection met the new book');
}));

await check('the filter narrows the list, and Escape opens it again', () => withPage(url, {}, async (page) => {
  await page.waitText('focus-symbol', /-/);
  await page.keyboard.press('/');
  await page.keyboard.type('eth');
  const shown = () => page.locator('[data-testid="watch-row"]:not([hidden])').count();
  assert.ok(await shown() >= 1 && await shown() < 5);
  await page.keyboard.press('Enter');
  assert.match(await page.text('focus-symbol'), /^ETH/);
  await page.part('filter').focus();
  await page.keyboard.press('Escape');
  assert.ok(await shown() >= 50);
}));

await check('on a phone everything fits the width', () => withPage(
  url, { viewport: { width: 390, height: 844 }, colorScheme: 'light', isMobile: true },
  async (page) => {
    await page.waitText('checksum', /verified/);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wider <= 0, `${wider} pixels too wide`);
    if (pictures) await page.screenshot({ path: `${pictures}/page-phone.png` });
  },
));

await check('a lost update is resynced, and the book is right again', () => withFaults(async (page, gateway) => {
  gateway.fault('skip');
  await page.waitText('resyncs', /^1$/);
  await page.waitText('checksum', /verified/);
  await page.waitForFunction(() => document.querySelector('[data-testid="book-note"]').hidden);
}));

await check('a checksum that disagrees is never left standing', () => withFaults(async (page, gateway) => {
  gateway.fault('corrupt');
  await page.waitText('resyncs', /^1$/);
  await page.waitText('checksum', /verified/);
}));

await check('a gap is drawn into the tape', () => withFaults(async (page, gateway) => {
  gateway.fault('gap');
  await page.waitText('gaps', /^1$/);
  await page.waitText('tape', /1 lost/);
}));

await check('a symbol whose feed is stale says so', () => withFaults(async (page, gateway) => {
  gateway.fault('stale');
  await page.waitText('focus-state', /stale: no data for 5\.0 s/);
}));

await check('a cut connection comes back by itself', () => withFaults(async (page, gateway) => {
  gateway.fault('cut');
  await page.waitText('reconnects', /^1$/);
  await page.waitText('connection-state', /^live$/);
  await page.waitText('checksum', /verified/);
}));

await check('silence is shown as stale, then hung up on', () => withFaults(async (page, gateway) => {
  gateway.fault('silence');
  await page.waitText('connection-state', /^stale$/);
  await page.waitText('reconnects', /^1$/);
}));

await check('thousands of updates a second do not freeze the page', () => withFaults(async (page) => {
  await page.waitText('rate', /k\/s|[2-9]\d{3}/);
  const drawn = await page.evaluate(() => new Promise((done) => {
    const until = performance.now() + 2_000;
    let frames = 0;
    const count = () => {
      frames += 1;
      if (performance.now() < until) requestAnimationFrame(count);
      else done(frames);
    };
    requestAnimationFrame(count);
  }));
  console.log(`       ${drawn} frames drawn in 2 s at ${await page.text('rate')}`);
  assert.ok(drawn >= 10, `${drawn} frames in 2 s`);
}, 25));

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

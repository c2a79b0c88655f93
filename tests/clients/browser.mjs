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
async function open(to, { init, polling = 'raf', ...options } = {}) {
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
    { polling },
  );
  if (init) await page.addInitScript(init);
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
async function withFaults(run, { steps = 4, setup = () => {}, ...options } = {}) {
  const gateway = new MockGateway({ heartbeatMs: 200 });
  setup(gateway);
  const to = await gateway.listen();
  const market = setInterval(() => gateway.step(steps), 10);
  try {
    await withPage(to, options, async (page) => {
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

/** What of a page's numbers is cut off, on any side, and what is wider than the window. */
function cut() {
  const found = [];
  const cells = '.tape span, .level span:not(.bar), .spread > span, .watch td, .focus dd, .focus .price span, .figures dd, #book-position';
  for (const cell of document.querySelectorAll(cells)) {
    if (!/\d/.test(cell.textContent) || cell.checkVisibility?.() === false || cell.getClientRects().length === 0) continue;
    const panel = cell.closest('.panel, .top').getBoundingClientRect();
    const list = cell.closest('.tape, .side, .scroll')?.getBoundingClientRect() ?? panel;
    const box = cell.getBoundingClientRect();
    if (box.top >= list.bottom || box.bottom <= list.top) continue; // behind the end of a list
    const range = document.createRange();
    range.selectNodeContents(cell);
    const ink = range.getBoundingClientRect();
    const name = `${cell.className || cell.id} ${cell.textContent}`;
    if (cell.scrollWidth > cell.clientWidth && cell.clientWidth > 0) found.push(`${name}: ${cell.scrollWidth} in ${cell.clientWidth}`);
    if (ink.left < panel.left || ink.right > panel.right) found.push(`${name}: out of its panel`);
    if (!cell.closest('.scroll') && (ink.bottom > list.bottom + 3 || ink.top < list.top - 3)) found.push(`${name}: cut in height`);
  }
  const wider = document.documentElement.scrollWidth - window.innerWidth;
  if (wider > 0) found.push(`the page is ${wider} pixels too wide`);
  return found;
}

const WIDTHS = [320, 360, 390, 480, 481, 600, 768, 820, 821, 1_000, 1_180, 1_181, 1_440, 1_920, 2_560];

/** Resizing is seen in one frame, columns are laid out in the next, and cells in the one after. */
async function laidOut(page) {
  for (let frame = 0; frame < 4; frame += 1) await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => done())));
}

async function wholeAt(page, where) {
  await laidOut(page);
  const found = await page.evaluate(cut);
  assert.equal(found.length, 0, `${where}: ${found.slice(0, 5).join('; ')}`);
}

async function nothingCut(page, what) {
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    await wholeAt(page, `${what} at ${width} pixels`);
  }
}

await check('no number is cut off at any width', () => withPage(url, {}, async (page) => {
  await page.waitText('checksum', /verified/);
  for (const symbol of ['BTC-USD', 'SHIB-USD', 'BONK-USD', 'DOGE-USD']) {
    await page.locator(`[data-key="sim:${symbol}"]`).click();
    await page.waitText('checksum', /verified/);
    await page.waitForFunction(() => document.querySelectorAll('[data-testid="trade"]:not([hidden])').length >= 10);
    await nothingCut(page, symbol);
  }
}));

await check('a column stays while it has room', () => withPage(url, {}, async (page) => {
  const time = () => page.evaluate(() => [...document.querySelectorAll('.trades .time')].slice(0, 4)
    .map((cell) => (cell.checkVisibility() ? cell.textContent.length : 0)));
  for (const symbol of ['BTC-USD', 'SOL-USD']) {
    await page.locator(`[data-key="sim:${symbol}"]`).click();
    await page.waitText('checksum', /verified/);
    await page.waitForFunction(() => document.querySelectorAll('[data-testid="trade"]:not([hidden])').length >= 10);
    for (const width of [390, 700, 800, 900, 1_000, 1_200, 1_400]) {
      await page.setViewportSize({ width, height: 900 });
      await laidOut(page);
      const [head, ...lines] = await time();
      assert.ok(head > 0 && lines.every((digits) => digits >= 8), `${symbol} at ${width} pixels: ${[head, ...lines]}`);
    }
  }
}));

await check('nothing is said of data that have not come', async () => {
  const gateway = new MockGateway({ heartbeatMs: 200 });
  gateway.fault('mute');
  try {
    await withPage(await gateway.listen(), {}, async (page) => {
      await page.waitText('focus-symbol', /-/);
      // The figures have been drawn since the connection is live.
      await page.waitText('topics', /^[1-9]/);
      assert.equal(await page.text('spread'), '–');
      assert.equal(await page.text('checksum'), 'waiting for data');
      assert.equal(await page.text('position'), 'epoch – · seq –');
      assert.equal(await page.text('focus-last'), '–');
    });
  } finally {
    await gateway.close();
  }
});

await check('a number longer than its column is not cut off, and leaves the others their room', () => {
  const setup = (gateway) => gateway.list('LONG-USD', 123_456_789_012_345);
  return withFaults(async (page) => {
    const column = () => page.evaluate(() => document.querySelector('thead .last').getBoundingClientRect().width);
    await page.part('filter').fill('BTC');
    const before = await column();
    await page.part('filter').fill('');
    await page.locator('[data-key="mock:LONG-USD"]').click();
    await page.waitText('checksum', /verified/);
    await page.waitText('focus-last', /^1,23\d,\d{3},/);
    assert.ok(await column() <= before * 1.6, `${before} → ${await column()} pixels`);
    await nothingCut(page, 'LONG-USD');
  }, { setup });
});

for (const [name, width, colorScheme] of [['phone', 390, 'light'], ['tablet', 1_000, 'dark']]) {
  await check(`on a ${name} everything fits the width`, () => withPage(
    url, { viewport: { width, height: 844 }, colorScheme, isMobile: true },
    async (page) => {
      await page.waitText('checksum', /verified/);
      await wholeAt(page, `at ${width} pixels`);
      if (pictures) await page.screenshot({ path: `${pictures}/page-${name}.png`, fullPage: true });
    },
  ));
}

await check('what is listed later appears without a reload, and what ends goes', () => withFaults(async (page, gateway) => {
  gateway.list('NEW-USD', 4_200);
  gateway.unlist('LTC-USD');
  await page.locator('[data-key="mock:NEW-USD"]').waitFor({ timeout: 3 * PATIENCE_MS });
  await page.waitForFunction(() => /\d/.test(document.querySelector('[data-key="mock:NEW-USD"] .bid')?.textContent));
  assert.equal(await page.locator('[data-key="mock:LTC-USD"]').count(), 0);
  assert.match(await page.text('focus-symbol'), /BTC/, 'the selection stays');
}));

await check('a connection that comes back looks at the list again', () => withFaults(async (page, gateway) => {
  gateway.list('NEW-USD', 4_200);
  gateway.fault('cut');
  await page.waitText('reconnects', /^1$/);
  await page.locator('[data-key="mock:NEW-USD"]').waitFor();
}));

await check('a book that may be old is not called verified', () => withFaults(async (page, gateway) => {
  gateway.fault('stale');
  await page.waitText('checksum', /^not current$/);
  gateway.fault('live');
  await page.waitText('checksum', /verified/);
  gateway.fault('silence');
  await page.waitText('connection-state', /^stale$/);
  await page.waitText('checksum', /^not current$/);
}));

await check('after the gateway has ended nothing looks current', () => withFaults(async (page, gateway) => {
  await gateway.close();
  await page.waitText('connection-state', /^reconnecting$/);
  for (const part of ['ladder', 'watch', 'tape', 'focus-last']) {
    const shown = await page.part(part).first().evaluate((element) => {
      let opacity = 1;
      for (let at = element; at; at = at.parentElement) opacity *= getComputedStyle(at).opacity;
      return opacity;
    });
    assert.ok(shown < 1, `${part} looks current`);
  }
  // A page in the background shows only its title.
  assert.match(await page.title(), /^reconnecting /);
}));

await check('a crossed book says so', () => withFaults(async (page, gateway) => {
  gateway.fault('crossed');
  await page.waitText('focus-state', /^crossed: bid 2\.01 ask 2\.00$/);
  await page.waitText('checksum', /crossed/);
  await page.waitForFunction(() => document.querySelector('[data-testid="watch-row"] .feed').textContent === 'crossed');
}));

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
  await page.waitText('focus-state', /stale: no data for 5\.0 s · book stale since \d\d:\d\d:\d\d$/);
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

/** Runs in a page before its own scripts: frames are drawn when the test says so, and messages counted. */
function ownFrames() {
  let asked = [];
  window.requestAnimationFrame = (run) => asked.push(run);
  window.frame = () => {
    const due = asked;
    asked = [];
    for (const run of due) run(performance.now());
    return due.length;
  };
  window.heard = 0;
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    set onmessage(take) {
      super.onmessage = (event) => {
        window.heard += 1;
        take(event);
      };
    }
  };
}

await check('thousands of updates do not freeze the page', () => withFaults(async (page) => {
  // Frames come when the test says so: what they cost and when keys are heard does not depend on the machine.
  const heard = (more) => page.evaluate((n) => { window.until = window.heard + n; }, more)
    .then(() => page.waitForFunction(() => window.heard >= window.until, null, { polling: 20, timeout: 8 * PATIENCE_MS }));
  await page.evaluate(() => {
    window.writes = 0;
    const count = (changes) => { window.writes += changes.length; };
    for (const part of ['watch', 'tape', 'asks', 'bids']) {
      new MutationObserver(count).observe(document.querySelector(`[data-testid="${part}"]`), { subtree: true, childList: true, characterData: true });
    }
  });
  await page.evaluate(() => { window.frame(); window.frame(); });
  await page.evaluate(() => { window.writes = 0; });
  await heard(5_000);
  assert.equal(await page.evaluate(() => window.writes), 0, 'drawn without a frame');
  assert.ok(await page.evaluate(() => window.frame()) <= 2, 'one frame is asked for, however many updates came');
  const [writes, cells] = await page.evaluate(() => [window.writes, document.querySelectorAll('td, .level span, .tape li, .tape span').length]);
  assert.ok(writes > 50 && writes <= 2 * cells, `${writes} writes for ${cells} cells`);
  // A key is heard while updates wait to be drawn.
  const symbol = await page.text('focus-symbol');
  await heard(1_000);
  await page.keyboard.press('ArrowDown');
  assert.notEqual(await page.text('focus-symbol'), symbol);
  await page.waitForFunction(() => { window.frame(); return /verified/.test(document.querySelector('[data-testid="checksum"]').textContent); },
    null, { polling: 50 });
}, { steps: 25, init: ownFrames, polling: 50 }));

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

// A gateway behind a proxy: the page in a real browser, lists, `HEAD`, and the WebSocket with Node's `ws`.
//
// Usage: TAPECAST_BROWSER=/usr/bin/chromium node proxied.mjs http://HOST:PORT/
//
// The proxy names the gateway by host alone (`Host $host`), so that the page's origin has a port and the
// gateway does not hear of it.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { WebSocket } from 'ws';

const PATIENCE_MS = 15_000;
const [url] = process.argv.slice(2);
const origin = new URL(url).origin;
const socketUrl = new URL('v1/ws', url.replace(/^http/, 'ws'));
let failed = 0;

async function check(what, run) {
  try {
    await run();
    console.log(`ok     ${what}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${what}: ${error.message.split('\n').slice(0, 4).join(' ')}`);
  }
}

/** A WebSocket of a page of this origin: its messages, or the status it was refused with. */
function subscribe(from, topic, count) {
  return new Promise((done, broken) => {
    const socket = new WebSocket(socketUrl, 'tapecast.v1.json', { origin: from });
    const frames = [];
    const late = setTimeout(() => broken(new Error(`only ${frames.length} frames in time`)), PATIENCE_MS);
    const end = (outcome) => {
      clearTimeout(late);
      socket.terminate();
      done(outcome);
    };
    socket.on('open', () => socket.send(JSON.stringify({ op: 'subscribe', id: 1, topics: [topic] })));
    socket.on('message', (text) => {
      const message = JSON.parse(text);
      if (message.topic === topic && message.type) frames.push(message);
      if (frames.length === count) end(frames);
    });
    socket.on('unexpected-response', (_, answer) => end(answer.statusCode));
    socket.on('error', () => {});
  });
}

await check('lists and HEAD pass', async () => {
  const answer = await fetch(new URL('v1/instruments?symbol=BTC%2DUSD', url));
  assert.equal(answer.status, 200);
  const { instruments } = await answer.json();
  assert.ok(instruments.some((instrument) => instrument.symbol === 'BTC-USD'));
  const head = await fetch(new URL('v1/topics', url), { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.ok(Number(head.headers.get('content-length')) > 1_000);
});

await check('a page of this origin gets frames in order, with and without TLS in front', async () => {
  for (const from of [origin, origin.replace('http:', 'https:')]) {
    const frames = await subscribe(from, 'quote:sim:BTC-USD', 20);
    for (const [index, frame] of frames.slice(1).entries()) assert.ok(frame.seq > frames[index].seq);
  }
});

await check('a page of another origin is refused', async () => {
  assert.equal(await subscribe('https://evil.example', 'quote:sim:BTC-USD', 1), 403);
});

await check('the page is live', async () => {
  const browser = await chromium.launch({
    executablePath: process.env.TAPECAST_BROWSER || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(url);
    await page.waitForFunction(() => document.querySelector('[data-testid="connection-state"]')?.textContent === 'live');
  } finally {
    await browser.close();
  }
});

process.exit(failed ? 1 : 0);

// The live page: what exists comes from /v1/instruments, everything else from one connection.
// This file only wires: the rule is in position.js, the connection in feed.js, the views in
// watch.js, ladder.js and tape.js.

import { Book } from './book.js';
import { Feed, State } from './feed.js';
import { brief, show } from './decimal.js';
import { Ladder } from './ladder.js';
import { Tape } from './tape.js';
import { Cell, count, Frames, milliseconds } from './view.js';
import { percent, trouble, Watch } from './watch.js';

const DEPTH = 25;
const FIGURES_EVERY_MS = 250;
/** A held arrow key passes over rows without subscribing to each of them. */
const SETTLE_MS = 120;

const at = (id) => document.getElementById(id);
const cell = (id) => new Cell(at(id));
const base = new URL('.', document.baseURI);

const frames = new Frames();
const feed = new Feed(new URL('v1/ws', base).href.replace(/^http/, 'ws'));
const ladder = new Ladder(
  { asks: at('asks'), bids: at('bids'), spread: at('spread'), note: at('book-note') },
  frames,
);
const tape = new Tape(at('tape'), frames);
const book = new Book(DEPTH);
const checks = { passed: 0, failed: 0 };
const head = Object.fromEntries(
  ['symbol', 'venue', 'last', 'change', 'high', 'low', 'volume', 'state'].map((id) => [id, cell(`focus-${id}`)]),
);

let wanted = new Map();
let settling = null;
let rate = { at: performance.now(), frames: 0, bytes: 0 };

const watch = new Watch(at('rows'), frames, {
  select: (row) => {
    history.replaceState(null, '', `#${row.key}`);
    letGo();
    book.clear();
    tape.clear();
    ladder.show(book, row.instrument.qty_scale);
    drawHead(row);
    settle();
  },
  render: (row) => row === watch.selected && drawHead(row),
  filter: (rows) => {
    at('no-rows').hidden = rows.length > 0;
    settle();
  },
});

// ----- what is subscribed to

function settle() {
  clearTimeout(settling);
  settling = setTimeout(plan, SETTLE_MS);
}

/** The old selection's topics go at once: a frame of theirs must not meet the new one's book. */
function letGo() {
  for (const row of watch.all) row.taped = false;
  for (const [name, { owner }] of wanted) {
    if (owner === 'row') continue;
    feed.unsubscribe(name);
    wanted.delete(name);
  }
}

/** Works out which topics the page shows, and tells the feed the difference. */
function plan() {
  const next = new Map();
  const row = watch.selected;
  if (row) {
    const { channels } = row.instrument;
    if (channels.includes('book')) next.set(topic(`book.${DEPTH}`, row), { owner: 'ladder', consumer: bookConsumer(row) });
    if (channels.includes('trade')) next.set(topic('trade', row), { owner: 'tape', consumer: tapeConsumer(row) });
    addRow(next, row);
  }
  let left = 0;
  for (const shown of watch.rows) {
    if (next.size + 3 > feed.topicsMax) left += 1;
    else addRow(next, shown);
    shown.element.classList.toggle('unwatched', next.size + 3 > feed.topicsMax && left > 0);
  }
  at('too-many').hidden = left === 0;
  at('too-many').textContent = left === 0 ? '' : `${left} rows have no live prices: the gateway allows `
    + `${feed.topicsMax} topics. Filter the list to see them.`;
  for (const [name, { owner }] of wanted) {
    if (next.get(name)?.owner !== owner) feed.unsubscribe(name);
    else next.set(name, wanted.get(name));
  }
  for (const [name, { owner, consumer }] of next) {
    if (wanted.get(name)?.owner !== owner) feed.subscribe(name, consumer);
  }
  wanted = next;
}

function topic(channel, row) {
  return `${channel}:${row.instrument.venue}:${row.instrument.symbol}`;
}

function addRow(map, row) {
  const { channels } = row.instrument;
  // Where there are no statistics the last price comes from the trades themselves.
  const last = channels.includes('ticker') ? 'ticker' : 'trade';
  for (const channel of ['quote', last, 'status']) {
    const name = topic(channel, row);
    if (channels.includes(channel) && !map.has(name)) {
      map.set(name, { owner: 'row', consumer: refusable(name, row.consumer(channel)) });
    }
  }
}

/** A topic that was refused may be asked for again by a later plan. */
function refusable(name, consumer) {
  return { ...consumer, refused: (answer) => answer.error !== 'upstream_down' && wanted.delete(name) };
}

function bookConsumer(row) {
  const took = (right) => {
    if (book.verified !== null) checks[right ? 'passed' : 'failed'] += 1;
    ladder.warn('');
    frames.mark(ladder);
    return right;
  };
  const name = topic(`book.${DEPTH}`, row);
  return refusable(name, {
    snapshot: (frame) => took(book.replace(frame)),
    update: (frame) => took(book.apply(frame)),
    gap: () => ladder.warn('Part of the book was skipped; a new snapshot follows.'),
    lost: () => ladder.warn('Waiting for a new snapshot. What is shown may be old.'),
    acknowledged: (answer) => {
      ladder.show(book, answer.qty_scale ?? row.instrument.qty_scale);
      if (answer.start === 'none') ladder.warn('No book has come from the venue yet.');
    },
  });
}

function tapeConsumer(row) {
  const consumer = tape.consumer();
  const both = (take) => (frame) => {
    take(frame);
    row.taped = true;
    row.take_trade(frame);
  };
  return refusable(topic('trade', row), {
    ...consumer,
    snapshot: both(consumer.snapshot),
    update: both(consumer.update),
  });
}

// ----- what is said about the selection and the connection

function drawHead(row) {
  const { instrument, ticker, status } = row;
  head.symbol.set(instrument.symbol);
  head.venue.set(instrument.venue);
  const last = row.last === null ? '–' : show(row.last, row.digits);
  head.last.set(last);
  head.last.className(`last ${row.direction}`);
  const [change, direction] = percent(ticker?.change_pct);
  head.change.set(change);
  head.change.className(`change ${direction}`);
  head.high.set(ticker?.high === undefined ? '–' : show(ticker.high, row.digits));
  head.low.set(ticker?.low === undefined ? '–' : show(ticker.low, row.digits));
  head.volume.set(ticker?.volume === undefined ? '–' : brief(ticker.volume));
  const wrong = status ? trouble(status) : '';
  head.state.set(wrong === '' ? '' : `${wrong}${status.reason ? `: ${status.reason}` : ''}`);
  head.state.element.hidden = wrong === '';
  document.title = `${last} ${instrument.symbol} · tapecast`;
}

const link = { state: cell('link-state'), why: cell('link-why'), pill: at('link') };
const figures = Object.fromEntries(
  ['rtt', 'lag', 'delay', 'rate', 'bytes', 'topics', 'gaps', 'resyncs', 'connects'].map((id) => [id, cell(`fig-${id}`)]),
);
const place = { position: cell('book-position'), check: cell('book-check') };

function drawLink() {
  link.state.set(feed.state);
  link.pill.dataset.state = feed.state;
  document.body.dataset.link = feed.state;
  const wait = feed.retryAt === null ? '' : ` · again in ${Math.max(0, Math.ceil((feed.retryAt - performance.now()) / 1_000))} s`;
  link.why.set(feed.state === State.LIVE ? '' : feed.reason + wait);
}

function drawFigures() {
  drawLink();
  const now = performance.now();
  if (now - rate.at >= 1_000) {
    const seconds = (now - rate.at) / 1_000;
    figures.rate.set(`${count((feed.counts.frames - rate.frames) / seconds)}/s`);
    figures.bytes.set(`${count((feed.counts.bytes - rate.bytes) / seconds / 1_000)} kB/s`);
    rate = { at: now, frames: feed.counts.frames, bytes: feed.counts.bytes };
  }
  figures.rtt.set(milliseconds(feed.figures.rtt));
  figures.lag.set(milliseconds(feed.figures.lag));
  figures.delay.set(milliseconds(feed.figures.delay));
  figures.topics.set(String(wanted.size));
  figures.gaps.set(String(feed.counts.gaps));
  figures.resyncs.set(String(feed.counts.resyncs));
  figures.connects.set(String(Math.max(0, feed.counts.connects - 1)));
  const row = watch.selected;
  const position = row && feed.position(topic(`book.${DEPTH}`, row));
  place.position.set(position ? `epoch ${position.epoch} · seq ${position.seq}` : 'no position');
  const verdict = book.verified === null ? 'unchecked' : book.verified ? 'verified' : 'mismatch';
  place.check.element.dataset.verdict = verdict;
  place.check.element.dataset.passed = checks.passed;
  place.check.element.title = `${checks.passed} checksums agreed, ${checks.failed} did not`;
  place.check.set({ unchecked: 'unchecked', verified: '✓ verified', mismatch: '✗ mismatch' }[verdict]);
}

// ----- beginnings

/** Every instrument, page by page. */
async function* instruments() {
  let after = null;
  do {
    const url = new URL('v1/instruments', base);
    if (after !== null) url.searchParams.set('after', after);
    const answer = await fetch(url, { headers: { accept: 'application/json' } });
    if (!answer.ok) throw new Error(`/v1/instruments answered ${answer.status}`);
    const page = await answer.json();
    yield page.instruments;
    after = page.next;
  } while (after !== null && after !== undefined);
}

async function load() {
  for (let attempt = 0; ; attempt += 1) {
    try {
      for await (const page of instruments()) {
        watch.add(page);
        const venues = new Set(watch.all.map((row) => row.instrument.venue));
        document.body.classList.toggle('venues', venues.size > 1);
        watch.filter(at('filter').value);
        if (!watch.selected) watch.select(watch.find(location.hash.slice(1)) ?? watch.rows[0]);
      }
      at('loading').hidden = true;
      return;
    } catch (error) {
      at('loading').textContent = `The list of instruments cannot be had: ${error.message}. Trying again.`;
      const pause = Math.min(15_000, 500 * 2 ** attempt) * (0.5 + Math.random() / 2);
      await new Promise((done) => setTimeout(done, pause));
    }
  }
}

at('filter').addEventListener('input', () => watch.filter(at('filter').value));
at('filter').addEventListener('keydown', (event) => {
  if (event.key === 'Escape') {
    at('filter').value = '';
    watch.filter('');
    watch.select(watch.selected, true);
  } else if (event.key === 'Enter') {
    watch.select(watch.rows[0], true);
  } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    watch.key(event);
  }
});
document.addEventListener('keydown', (event) => {
  if (event.target.matches('input') || event.target.closest('tr')) {
    if (event.key === '/' && !event.target.matches('input')) focusFilter(event);
    return;
  }
  if (event.key === '/') focusFilter(event);
  else watch.key(event);
});
function focusFilter(event) {
  event.preventDefault();
  at('filter').select();
}
window.addEventListener('hashchange', () => watch.select(watch.find(location.hash.slice(1))));
window.addEventListener('online', () => feed.state !== State.LIVE && feed.reconnect());

feed.onstate = () => {
  drawLink();
  if (feed.state === State.LIVE) settle();
};
feed.connect();
setInterval(drawFigures, FIGURES_EVERY_MS);
await load();

// The live page: what exists comes from /v1/instruments, everything else from one connection.
// This file only wires: the rule is in position.js, the connection in feed.js, the views in
// watch.js, ladder.js and tape.js.

import { Book } from './book.js';
import { Feed, State } from './feed.js';
import { brief, show } from './decimal.js';
import { Ladder } from './ladder.js';
import { Tape } from './tape.js';
import { Cell, count, Frames, milliseconds } from './view.js';
import { behind, percent, trouble, Watch } from './watch.js';

const DEPTH = 25;
const FIGURES_EVERY_MS = 250;
/** How long the list of instruments is good for; a long list longer, by this for each of its rows. */
const LIST_EVERY_MS = 10_000;
const LIST_ROW_MS = 10;
/** A held arrow key passes over rows without subscribing to each of them. */
const SETTLE_MS = 120;

const at = (id) => document.getElementById(id);
const cell = (id) => new Cell(at(id));
const base = new URL('.', document.baseURI);

const frames = new Frames();
const feed = new Feed(new URL('v1/ws', base).href.replace(/^http/, 'ws'));
const ladder = new Ladder(
  { table: document.querySelector('.ladder'), asks: at('asks'), bids: at('bids'), spread: at('spread'), note: at('book-note') },
  frames,
);
const tape = new Tape(at('tape'), document.querySelector('.trades'), frames);
const book = new Book(DEPTH);
const checks = { passed: 0, failed: 0 };
const head = Object.fromEntries(
  ['symbol', 'venue', 'last', 'change', 'high', 'low', 'volume', 'state'].map((id) => [id, cell(`focus-${id}`)]),
);

let wanted = new Map();
let settling = null;
let hurry = () => {};
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
    // Before the list has come, nothing is known of what matches.
    at('no-rows').hidden = rows.length > 0 || watch.all.length === 0;
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
    gap: () => {
      // Its prices are not current: nothing is shown until the snapshot.
      book.clear();
      frames.mark(ladder);
      ladder.warn('The book was lost at the venue; a new snapshot follows.');
    },
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
  head.last.element.dataset.long = last.length > 14;
  const [change, direction] = percent(ticker?.change_pct);
  head.change.set(change);
  head.change.className(`change ${direction}`);
  head.high.set(ticker?.high === undefined ? '–' : show(ticker.high, row.digits));
  head.low.set(ticker?.low === undefined ? '–' : show(ticker.low, row.digits));
  head.volume.set(ticker?.volume === undefined ? '–' : brief(ticker.volume));
  const wrong = status ? trouble(status) : '';
  const reason = status?.reason ?? '';
  const said = reason.startsWith(wrong) ? reason : [wrong, reason].filter(Boolean).join(': ');
  const words = [wrong === '' ? '' : said, status ? behind(status) : ''].filter(Boolean).join(' · ');
  head.state.set(row.gone ? 'The gateway no longer lists this instrument.' : words);
  head.state.element.hidden = words === '' && !row.gone;
  drawTitle();
}

/** A page in the background says no price that is not current. */
function drawTitle() {
  const row = watch.selected;
  if (!row) return;
  const last = row.last === null ? '–' : show(row.last, row.digits);
  const said = feed.state === State.LIVE ? last : feed.state;
  const title = `${said} ${row.instrument.symbol} · tapecast`;
  if (title !== document.title) document.title = title;
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
  drawTitle();
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
  place.position.set(`epoch ${position?.epoch ?? '–'} · seq ${position?.seq ?? '–'}`);
  const verdict = judge(row);
  place.check.element.dataset.verdict = verdict;
  place.check.element.dataset.passed = checks.passed;
  place.check.element.title = `${checks.passed} checksums agreed, ${checks.failed} did not`;
  place.check.set(VERDICTS[verdict]);
}

/** What can be said of the book that is shown: nothing is verified that may be old. */
function judge(row) {
  const status = row?.status;
  if (status && trouble(status) === 'crossed') return 'crossed';
  if (row && !row.instrument.channels.includes('book')) return 'none';
  if (!book.loaded) return 'waiting';
  if (book.verified === false) return 'mismatch';
  // A gateway that tells the health of each channel says which of them is behind.
  const health = status?.channels?.book?.feed ?? status?.feed ?? 'live';
  if (feed.state !== State.LIVE || ladder.doubted || health !== 'live') return 'old';
  return book.verified ? 'verified' : 'unchecked';
}

const VERDICTS = {
  none: 'no book here', waiting: 'waiting for data', unchecked: 'unchecked', verified: '✓ verified', mismatch: '✗ mismatch', crossed: 'held back: crossed', old: 'not current',
};

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

/** Reads the list and shows what is new on it, for as long as the page is open. */
async function load() {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await list();
      attempt = -1;
      await pause(LIST_EVERY_MS + LIST_ROW_MS * watch.all.length);
    } catch (error) {
      at('loading').textContent = `The list of instruments is not available: ${error.message}. Trying again.`;
      at('loading').hidden = watch.all.length > 0;
      await pause(Math.min(15_000, 500 * 2 ** attempt));
    }
  }
}

async function list() {
  const listed = new Set();
  for await (const page of instruments()) {
    for (const { venue, symbol } of page) listed.add(`${venue}:${symbol}`);
    if (watch.add(page) > 0) settleList();
  }
  const before = watch.all.length;
  watch.keep(listed);
  if (watch.all.length < before) settleList();
  at('loading').textContent = 'The gateway lists no instrument yet.';
  at('loading').hidden = watch.all.length > 0;
}

/** Rows came or went. */
function settleList() {
  const venues = new Set(watch.all.map((row) => row.instrument.venue));
  document.body.classList.toggle('venues', venues.size > 1);
  watch.filter(at('filter').value);
  if (!watch.selected) watch.select(watch.find(location.hash.slice(1)) ?? watch.rows[0]);
}

/** Waits, a little longer or shorter each time; a connection that comes back ends it. */
function pause(ms) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms * (0.75 + Math.random() / 2));
    hurry = () => {
      clearTimeout(timer);
      done();
    };
  });
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
  if (feed.state !== State.LIVE) return;
  settle();
  // Whatever was listed before the connection was lost may have changed.
  if (feed.counts.connects > 1) hurry();
};
feed.connect();
setInterval(drawFigures, FIGURES_EVERY_MS);
await load();

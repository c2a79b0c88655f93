// A small gateway for the page's own tests: the protocol over plain sockets, a market that moves
// when told to, and faults on command. Needs nothing but Node; not a model of the real gateway's
// speed, only of what it says.
//
//   node mock_gateway.js [--port 0] [--symbols 50] [--rate 400]     serves the page and a market
//
// Faults, each once: POST /mock/{skip,corrupt,gap,cut,silence,stale,crossed,live,reject,mute}.
// After `mute` requests for topics get no answer.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { Book } from '../book.js';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const PAGE = new URL('..', import.meta.url);
const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
  + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** What is said of the first two instruments on command. */
const STATUS = {
  stale: {
    feed: 'stale',
    reason: 'no data for 5.0 s',
    channels: { trade: { feed: 'live', since: '1795237251398112034' }, book: { feed: 'stale', since: '1795237282974344959' } },
  },
  crossed: { feed: 'live', reason: 'crossed: bid 2.01 ask 2.00' },
  live: { feed: 'live', reason: '' },
};

/** A market of `symbols` instruments; one random source, so that runs repeat. */
class Market {
  constructor(symbols, seed = 7) {
    this.state = seed;
    const bases = ['BTC', 'ETH', 'SOL', 'XRP', 'ADA', 'DOGE', 'AVAX', 'LINK', 'DOT', 'LTC'];
    this.instruments = Array.from({ length: symbols }, (_, i) => {
      const base = i < bases.length ? bases[i] : `C${String(i).padStart(2, '0')}`;
      const start = Math.max(40, Math.round(6_183_764 / (i + 1) ** 2.2));
      return new Instrument(`${base}-USD`, start, this);
    });
  }

  /** Lists another instrument. */
  list(symbol, start) {
    const one = new Instrument(symbol, start, this);
    this.instruments.push(one);
    return one;
  }

  random() {
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0;
    return this.state / 2 ** 32;
  }
}

/** Prices in cents, sizes in units of 1e-4. */
class Instrument {
  constructor(symbol, start, market) {
    Object.assign(this, { symbol, market, open: start, mid: start, high: start, low: start, volume: 0 });
    this.seq = { trade: 100, quote: 100, book: 100, ticker: 100, status: 1 };
    this.book = new Book(25);
    this.trades = [];
    this.refill();
  }

  refill() {
    const bids = [];
    const asks = [];
    for (let i = 0; i < 25; i += 1) {
      bids.push([cents(this.mid - 1 - i), this.size()]);
      asks.push([cents(this.mid + 1 + i), this.size()]);
    }
    this.book.clear();
    this.book.apply({ bids, asks });
  }

  size() {
    return cents(Math.round(10 + this.market.random() ** 3 * 90_000), 4);
  }

  /** Moves, and says what changed: `[channel, body]` pairs. */
  step() {
    const { random } = this.market;
    const draw = () => random.call(this.market);
    const news = [];
    const before = { bids: new Map(this.book.bids), asks: new Map(this.book.asks) };
    if (draw() < 0.3) this.mid = Math.max(40, this.mid + Math.round((draw() - 0.5) * Math.max(2, this.mid / 20_000)));
    if (this.mid === this.moved) {
      const side = draw() < 0.5 ? 'bids' : 'asks';
      this.book[side][Math.floor(draw() * 25)][1] = this.size();
    } else {
      this.refill();
      this.moved = this.mid;
    }
    const changed = (side) => {
      const now = new Map(this.book[side]);
      const levels = [...now].filter(([price, size]) => before[side].get(price) !== size);
      return levels.concat([...before[side].keys()].filter((price) => !now.has(price)).map((price) => [price, '0']));
    };
    this.seq.book += 1;
    news.push(['book.25', { bids: changed('bids'), asks: changed('asks'), checksum: this.book.checksum() }]);
    this.seq.quote += 1;
    news.push(['quote', this.quote()]);
    if (draw() < 0.4) {
      const buy = draw() < 0.5;
      const price = cents(buy ? this.mid + 1 : this.mid - 1);
      this.seq.trade += 1;
      const trade = { id: String(this.seq.trade), price, qty: this.size(), side: buy ? 'buy' : 'sell', ts_event: nanos() };
      this.trades = [...this.trades.slice(-49), trade];
      this.volume += 1.5;
      news.push(['trade', { trades: [trade] }]);
      this.high = Math.max(this.high, this.mid);
      this.low = Math.min(this.low, this.mid);
      this.seq.ticker += 1;
      news.push(['ticker', this.ticker()]);
    }
    return news;
  }

  quote() {
    const [[bid, bid_qty]] = this.book.bids;
    const [[ask, ask_qty]] = this.book.asks;
    return { bid, bid_qty, ask, ask_qty };
  }

  ticker() {
    const change = this.mid - this.open;
    return {
      last: this.trades.at(-1)?.price ?? cents(this.mid), open: cents(this.open), high: cents(this.high), low: cents(this.low),
      change: cents(change), change_pct: cents(Math.round((change * 1e6) / this.open), 4), volume: this.volume.toFixed(1),
    };
  }

  state(channel) {
    switch (channel) {
      case 'trade': return { trades: this.trades };
      case 'quote': return this.quote();
      case 'ticker': return this.ticker();
      case 'status': return { feed: 'live', trading: 'open', reason: '' };
      default: return { bids: this.book.bids, asks: this.book.asks, checksum: this.book.checksum() };
    }
  }
}

/** One connection: its topics with the `seq` of the last frame of each. */
class Client {
  constructor(socket, gateway) {
    Object.assign(this, { socket, gateway, topics: new Map(), input: Buffer.alloc(0), silent: false });
    socket.on('data', (bytes) => this.read(bytes));
    socket.on('error', () => {});
    socket.on('close', () => gateway.clients.delete(this));
    this.send({
      op: 'welcome', protocol: 'tapecast.v1', connection: 'mock', node: 'mock', now: nanos(), heartbeat_ms: gateway.heartbeatMs,
      idle_timeout_ms: 30_000, limits: { topics: 1_024, requests_per_s: 20, request_bytes: 16_384, outbox_bytes: 4_194_304 },
    });
  }

  send(message) {
    if (this.silent) return;
    const payload = Buffer.from(JSON.stringify(message));
    const head = payload.length < 126 ? Buffer.from([0x81, payload.length]) : Buffer.from([0x81, 126, payload.length >> 8, payload.length & 255]);
    this.socket.write(payload.length < 65_536 ? Buffer.concat([head, payload]) : long(payload));
  }

  close(code) {
    this.socket.end(Buffer.from([0x88, 2, code >> 8, code & 255]));
  }

  read(bytes) {
    this.input = Buffer.concat([this.input, bytes]);
    for (;;) {
      if (this.input.length < 6) return;
      const opcode = this.input[0] & 15;
      let length = this.input[1] & 127;
      let at = 2;
      if (length === 126) {
        length = this.input.readUInt16BE(2);
        at = 4;
      }
      if (this.input.length < at + 4 + length) return;
      const mask = this.input.subarray(at, at + 4);
      const payload = Buffer.from(this.input.subarray(at + 4, at + 4 + length)).map((b, i) => b ^ mask[i & 3]);
      this.input = this.input.subarray(at + 4 + length);
      if (opcode === 8) this.socket.end(Buffer.from([0x88, 0]));
      else if (opcode === 1) this.request(JSON.parse(payload.toString()));
    }
  }

  request({ op, id, topics = [] }) {
    this.gateway.requests.push({ op, topics });
    if (op === 'ping') return this.send({ op: 'pong', id, now: nanos() });
    if (op === 'unsubscribe') {
      for (const topic of topics) this.topics.delete(topic);
      return this.send({ op: 'unsubscribed', id, topics });
    }
    if (this.gateway.faults.has('mute')) return undefined;
    const known = topics.filter((topic) => this.gateway.find(topic) && !this.gateway.faults.delete('reject'));
    if (op === 'subscribe' || op === 'resync') {
      this.send({
        op: 'subscribed', id,
        topics: known.map((topic) => ({ topic, epoch: this.gateway.epoch, seq: this.gateway.seq(topic), start: 'snapshot', price_scale: 2, qty_scale: 4 })),
        rejected: topics.filter((t) => !known.includes(t)).map((topic) => ({ topic, error: 'unknown_symbol', message: `no such topic: ${topic}` })),
      });
    }
    for (const topic of known) this.snapshot(topic);
    return undefined;
  }

  snapshot(topic) {
    const seq = this.gateway.seq(topic);
    const body = this.gateway.find(topic).state(topic.split(':')[0]);
    this.topics.set(topic, seq);
    this.send({ topic, type: 'snapshot', epoch: this.gateway.epoch, seq, ts_recv: nanos(), ts_out: nanos(), ...body });
  }

  update(topic, seq, body) {
    const prev = this.topics.get(topic);
    if (prev === undefined) return;
    this.topics.set(topic, seq);
    const { faults } = this.gateway;
    const book = topic.startsWith('book');
    if (book && faults.delete('skip')) return;
    if (topic.startsWith('trade') && faults.delete('gap')) {
      this.send({ op: 'gap', topic, epoch: this.gateway.epoch, from: prev + 1, to: seq, reason: 'slow_consumer' });
      return;
    }
    const frame = { topic, type: 'update', epoch: this.gateway.epoch, seq, prev, ts_event: nanos(), ts_recv: nanos(), ts_out: nanos(), ...body };
    if (book && faults.delete('corrupt')) frame.checksum ^= 1;
    this.send(frame);
  }
}

export class MockGateway {
  constructor({ symbols = 50, heartbeatMs = 1_000, seed = 7 } = {}) {
    this.market = new Market(symbols, seed);
    this.bySymbol = new Map(this.market.instruments.map((one) => [one.symbol, one]));
    this.epoch = Date.now();
    this.heartbeatMs = heartbeatMs;
    this.clients = new Set();
    this.faults = new Set();
    this.requests = [];
    this.server = createServer((request, response) => this.serve(request, response));
    this.server.on('upgrade', (request, socket) => this.upgrade(request, socket));
  }

  /** Lists another instrument, or takes one from the list. */
  list(symbol, start) {
    this.bySymbol.set(symbol, this.market.list(symbol, start));
  }

  unlist(symbol) {
    this.market.instruments = this.market.instruments.filter((one) => one.symbol !== symbol);
  }

  async listen(port = 0) {
    await new Promise((done) => this.server.listen(port, '127.0.0.1', done));
    this.beat = setInterval(() => {
      for (const client of this.clients) {
        const topics = [...client.topics].slice(0, 64).map(([topic, seq]) => [topic, this.epoch, seq]);
        client.send({ op: 'heartbeat', now: nanos(), topics, queued_bytes: 0, lag_ms: 1 });
      }
    }, this.heartbeatMs);
    return `http://127.0.0.1:${this.server.address().port}/`;
  }

  close() {
    clearInterval(this.beat);
    for (const client of this.clients) client.socket.destroy();
    this.server.closeAllConnections?.();
    return new Promise((done) => this.server.close(done));
  }

  /** Moves `steps` instruments, drawn at random. */
  step(steps = 1) {
    for (let i = 0; i < steps; i += 1) {
      const one = this.market.instruments[Math.floor(this.market.random() ** 1.5 * this.market.instruments.length)];
      for (const [channel, body] of one.step()) {
        const topic = `${channel}:mock:${one.symbol}`;
        for (const client of this.clients) client.update(topic, this.seq(topic), body);
      }
    }
  }

  find(topic) {
    return this.bySymbol.get(topic.split(':')[2]);
  }

  seq(topic) {
    return this.find(topic).seq[topic.split(/[:.]/)[0]];
  }

  /** Does a fault once, as if from outside. */
  fault(name) {
    this.faults.add(name);
    for (const client of this.clients) {
      if (name === 'cut') client.socket.destroy();
      if (name === 'silence') client.silent = true;
    }
    const status = STATUS[name];
    for (const one of status ? this.market.instruments.slice(0, 2) : []) {
      one.seq.status += 1;
      for (const client of this.clients) client.update(`status:mock:${one.symbol}`, one.seq.status, { trading: 'open', ...status });
    }
    if (status || ['cut', 'silence'].includes(name)) this.faults.delete(name);
  }

  async serve(request, response) {
    const url = new URL(request.url, 'http://mock/');
    if (request.method === 'POST' && url.pathname.startsWith('/mock/')) {
      this.fault(url.pathname.slice(6));
      return response.writeHead(204).end();
    }
    if (url.pathname === '/v1/instruments') {
      const all = this.market.instruments.map(({ symbol }) => ({
        venue: 'mock', symbol, native: symbol, price_scale: 2, qty_scale: 4, channels: ['trade', 'quote', 'book', 'ticker', 'status'],
      }));
      const from = Number(url.searchParams.get('after') ?? 0);
      const next = from + 30 < all.length ? String(from + 30) : null;
      response.writeHead(200, { 'content-type': 'application/json' });
      return response.end(JSON.stringify({ instruments: all.slice(from, from + 30), next }));
    }
    const file = url.pathname === '/' ? 'index.html' : url.pathname.slice(1);
    const type = TYPES[file.split('.').pop()];
    if (!type || !/^[a-z]+\.[a-z]+$/.test(file)) return response.writeHead(404).end();
    try {
      const body = await readFile(new URL(file, PAGE));
      response.writeHead(200, { 'content-type': type, 'content-security-policy': CSP, 'x-content-type-options': 'nosniff' });
      return response.end(body);
    } catch {
      return response.writeHead(404).end();
    }
  }

  upgrade(request, socket) {
    const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + GUID).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n`
      + 'Sec-WebSocket-Protocol: tapecast.v1.json\r\n\r\n');
    this.clients.add(new Client(socket, this));
  }
}

/** A scaled whole number as the protocol spells decimals: no zeros at the end. */
function cents(units, scale = 2) {
  const sign = units < 0 ? '-' : '';
  const digits = String(Math.abs(units)).padStart(scale + 1, '0');
  return sign + `${digits.slice(0, -scale)}.${digits.slice(-scale)}`.replace(/\.?0+$/, '');
}

function long(payload) {
  const head = Buffer.alloc(10);
  head[0] = 0x81;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([head, payload]);
}

function nanos() {
  return `${Date.now()}000000`;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const flag = (name, otherwise) => {
    const at = process.argv.indexOf(`--${name}`);
    return at < 0 ? otherwise : Number(process.argv[at + 1]);
  };
  const gateway = new MockGateway({ symbols: flag('symbols', 50) });
  const rate = flag('rate', 400);
  console.log(await gateway.listen(flag('port', 0)));
  setInterval(() => gateway.step(Math.ceil(rate / 50)), 20);
}

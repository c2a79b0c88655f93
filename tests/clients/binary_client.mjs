// The binary encoding against a gateway, compared with JSON field by field.
//
// Usage: node binary_client.mjs ws://HOST:PORT/v1/ws [HOST:PORT of a push source, venue desk] [VENUE:SYMBOL]
//
// Each check's name says what holds. Nothing sleeps: every check waits for the frames that it is about, and what
// does not come within ten seconds is a failure.

import assert from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import { WebSocket } from 'ws';
import { Reader } from './binary.mjs';

const PATIENCE_MS = 10_000;
const [url, push, name = 'sim:BTC-USD'] = process.argv.slice(2);

/** A connection in one encoding; what it hears goes to `hear`, frames as JSON has them. */
class Session {
  reader = new Reader();
  messages = [];

  static async open(encoding, hear = () => {}) {
    const session = new Session();
    session.socket = new WebSocket(url, `tapecast.v1.${encoding}`);
    session.socket.on('message', (bytes, binary) => {
      if (binary) {
        assert.equal(encoding, 'bin', 'only who asked for binary gets it');
        session.messages.push(bytes);
        for (const frame of session.reader.read(bytes)) hear(frame, session);
        return;
      }
      const message = JSON.parse(bytes);
      assert.ok(encoding === 'json' || message.op, 'only control messages are text');
      session.reader.learn(message);
      hear(message, session);
    });
    await new Promise((done, failed) => session.socket.on('open', done).on('error', failed));
    assert.equal(session.socket.protocol, `tapecast.v1.${encoding}`);
    return session;
  }

  subscribe(topics) {
    this.socket.send(JSON.stringify({ op: 'subscribe', id: 1, topics }));
  }

  close() {
    this.socket.terminate();
  }
}

/** Hears both encodings of some topics until `enough` holds of the frames heard, by their place. */
async function hearBoth(topics, enough, once = () => {}) {
  const heard = { json: new Map(), bin: new Map() };
  const waiting = new Set(['json', 'bin']);
  const sessions = [];
  await new Promise((done, failed) => {
    const timer = setTimeout(() => failed(new Error('too few frames')), PATIENCE_MS);
    const hear = (encoding) => (message) => {
      try {
        if (message.id === 1) {
          assert.deepEqual(message.rejected, []);
          waiting.delete(encoding);
          if (waiting.size === 0) once();
        }
        if (!message.type) return;
        heard[encoding].set(`${message.topic} ${message.seq} ${message.type}`, message);
        const both = [...heard.bin.keys()].filter((place) => heard.json.has(place));
        if (!enough(both)) return;
        clearTimeout(timer);
        done();
      } catch (error) {
        clearTimeout(timer);
        failed(error);
      }
    };
    for (const encoding of ['json', 'bin']) {
      Session.open(encoding, hear(encoding)).then((session) => {
        sessions.push(session);
        session.subscribe(topics);
      }, failed);
    }
  }).finally(() => sessions.forEach((session) => session.close()));
  return heard;
}

/** Each frame that was heard in both encodings says the same; a snapshot is made when it is asked for. */
function assertSame({ json, bin }) {
  let compared = 0;
  for (const [place, frame] of bin) {
    const text = json.get(place);
    if (!text) continue;
    if (frame.type === 'snapshot') text.ts_out = frame.ts_out;
    assert.deepEqual(frame, text);
    compared += 1;
  }
  return compared;
}

/** CRC-32 (IEEE), as in zlib. */
function crc32(text) {
  let crc = -1;
  for (const byte of Buffer.from(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

const checks = {
  async 'binary says what JSON says, on every channel'() {
    const updating = ['trade', 'quote', 'book.1', 'book.25', 'ticker'].map((channel) => `${channel}:${name}`);
    const many = (both) => updating.every((topic) => {
      const wanted = topic.startsWith('ticker') ? 1 : 5;
      return both.filter((place) => place.startsWith(`${topic} `) && place.endsWith('update')).length >= wanted;
    }) && ['status', 'instrument'].every((rare) => both.some((place) => place.startsWith(rare)));
    const heard = await hearBoth([...updating, `status:${name}`, `instrument:${name}`], many);
    assert.ok(assertSame(heard) > 20);
  },

  async 'a book kept from binary frames has the checksum that they say'() {
    const sides = { bids: new Map(), asks: new Map() };
    let frames = 0;
    let last = null;
    await new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error('too few frames')), PATIENCE_MS);
      Session.open('bin', (frame, session) => {
        if (!frame.type) return;
        try {
          if (frame.type === 'snapshot') Object.values(sides).forEach((side) => side.clear());
          else assert.equal(frame.prev, last);
          last = frame.seq;
          for (const [side, levels] of Object.entries(sides)) {
            for (const [price, size] of frame[side]) size === '0' ? levels.delete(price) : levels.set(price, size);
          }
          // Prices of this market have few digits: floats do to sort them.
          const best = (levels, sign) => [...levels].sort(([a], [b]) => sign * (a - b)).slice(0, 10);
          const parts = [...best(sides.asks, 1), ...best(sides.bids, -1)].flat();
          assert.equal(crc32(parts.join(':')), frame.checksum, `at ${frame.seq}`);
          frames += 1;
          if (frames < 100) return;
          clearTimeout(timer);
          session.close();
          done();
        } catch (error) {
          clearTimeout(timer);
          session.close();
          failed(error);
        }
      }).then((session) => session.subscribe([`book.25:${name}`]), failed);
    });
  },

  async 'two binary clients receive the same bytes'() {
    const heard = await Promise.all([1, 2].map(() => new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error('too few frames')), PATIENCE_MS);
      Session.open('bin', (_, session) => {
        if (session.messages.length < 100) return;
        clearTimeout(timer);
        session.close();
        done(session.messages);
      }).then((session) => session.subscribe([`quote:${name}`]), failed);
    })));
    const bySeq = heard.map((messages) => new Map(messages.slice(1).map((bytes) => [bytes.readBigUInt64LE(8), bytes])));
    const both = [...bySeq[0].keys()].filter((seq) => bySeq[1].has(seq));
    assert.ok(both.length > 20, `${both.length} frames in common`);
    for (const seq of both) {
      assert.deepEqual(bySeq[0].get(seq), bySeq[1].get(seq));
      assert.equal(bySeq[0].get(seq).length, 80, 'a quote has 80 bytes');
    }
  },

  async 'of several subprotocols the first that is spoken is agreed on'() {
    for (const [offer, agreed] of [
      [['chat', 'tapecast.v1.bin', 'tapecast.v1.json'], 'tapecast.v1.bin'],
      [['tapecast.v1.json', 'tapecast.v1.bin'], 'tapecast.v1.json'],
    ]) {
      const socket = new WebSocket(url, offer);
      await new Promise((done, failed) => socket.on('open', done).on('error', failed));
      assert.equal(socket.protocol, agreed);
      socket.terminate();
    }
  },
};

if (push) {
  checks['what a desk publishes comes back as it was spelled'] = async () => {
    const ids = ['7', '007', 'a9188a0a-82bc-50de-be60-03eedbe3cdd7', 'A9188A0A-82BC-50DE-BE60-03EEDBE3CDD7',
      'sixteen letters!', 'seventeen letters', '18446744073709551615', '18446744073709551616'];
    const trades = ids.map((id, n) => ({
      id, price: `${n}.00000000001`, qty: '0.5', ...(n % 2 ? { side: 'sell' } : {}), ...(n % 3 ? { ts_event: `${n}` } : {}),
    }));
    const symbol = `B${process.pid}-USD`;
    const lines = [
      { channel: 'trade', trades, ts_event: '3', venue_seq: '18446744073709551615' },
      { channel: 'trade', trades: [{ ...trades[0], id: '8' }] },
      { channel: 'quote', bid: '1.5', bid_qty: '2', ts_event: '0' },
      { channel: 'quote', ask: '92233720', ask_qty: '0.00000001', venue_seq: '9' },
      { channel: 'book', type: 'snapshot', bids: [['1', '2']], asks: [] },
      { channel: 'book', type: 'update', bids: [['1', '0']], asks: [['3', '1'], ['4', '1']] },
      { channel: 'ticker', last: '-0.000000000000000001', volume: '123456789012345678901234567890.5' },
      { channel: 'status', trading: 'halted' },
      { channel: 'status', feed: 'gap', reason: 'a “pause” of 5 s' },
    ];
    const topics = ['trade', 'quote', 'book.10', 'ticker', 'status'].map((channel) => `${channel}:desk:${symbol}`);
    const socket = connectTcp(Number(push.split(':')[1]), push.split(':')[0]);
    let complaint = '';
    socket.on('data', (bytes) => { complaint += bytes; });
    const publish = () => lines.forEach((line) => socket.write(`${JSON.stringify({ symbol, ...line })}\n`));
    const has = (both, topic) => both.filter((place) => place.startsWith(topic)).length;
    const wanted = [[`trade:desk:${symbol}`, 3], [`quote:desk:${symbol}`, 2], [`book.10:desk:${symbol}`, 2],
      [`ticker:desk:${symbol}`, 1], [`status:desk:${symbol}`, 4]];
    const all = (both) => wanted.every(([topic, count]) => has(both, topic) >= count);
    const heard = await hearBoth(topics, all, publish).finally(() => socket.destroy());
    assert.equal(complaint, '');
    assert.ok(assertSame(heard) >= 10);
    const prints = [...heard.bin.values()].find((frame) => frame.trades?.length === ids.length);
    assert.deepEqual(prints.trades.map(({ id }) => id), ids);
    assert.equal([...heard.bin.values()].filter(({ reason }) => reason === 'a “pause” of 5 s').length, 1);
  };
}

let failed = 0;
for (const [what, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok     ${what}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${what}: ${error.message}`);
  }
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

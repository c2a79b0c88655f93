// Node's `ws` against a gateway: the protocol as docs/PROTOCOL.md tells it.
//
// Usage: node ws_client.mjs ws://HOST:PORT/v1/ws [VENUE:SYMBOL]
//
// Each check's name says what holds. Nothing sleeps: every check waits for the message that it is
// about, and what does not come within ten seconds is a failure.

import assert from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import { WebSocket } from 'ws';

const PATIENCE_MS = 10_000;
const [url, name = 'sim:ETH-USD'] = process.argv.slice(2);

/** A connection whose messages can be waited for one after the other. */
class Session {
  #messages = [];
  #waiting = null;
  #nextId = 1;

  constructor(socket) {
    this.socket = socket;
    this.closed = new Promise((done) => socket.on('close', (code, reason) => done({ code, reason: reason.toString() })));
    socket.on('message', (bytes, binary) => {
      assert.equal(binary, false, 'JSON comes as text');
      this.#messages.push(JSON.parse(bytes));
      this.#waiting?.();
    });
  }

  static async open(to = url, options = {}) {
    const socket = new WebSocket(to, options.protocol ?? 'tapecast.v1.json', options);
    const session = new Session(socket);
    await new Promise((done, failed) => socket.on('open', done).on('error', failed));
    return session;
  }

  /** The next message for which `wanted` holds; others are passed over. */
  async until(wanted) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      while (this.#messages.length > 0) {
        const message = this.#messages.shift();
        if (wanted(message)) return message;
      }
      await new Promise((done, failed) => {
        const timer = setTimeout(() => failed(new Error('what was waited for did not come')), deadline - Date.now());
        this.#waiting = () => {
          clearTimeout(timer);
          this.#waiting = null;
          done();
        };
      });
    }
  }

  ask(op, fields = {}) {
    const id = this.#nextId;
    this.#nextId += 1;
    this.socket.send(JSON.stringify({ op, id, ...fields }));
    return id;
  }

  answer(op, fields) {
    const id = this.ask(op, fields);
    return this.until((message) => message.id === id);
  }
}

const checks = {
  async 'the subprotocol is the one asked for, and the default'() {
    for (const protocol of ['tapecast.v1.json', []]) {
      const session = await Session.open(url, { protocol });
      assert.equal((await session.until((m) => m.op === 'welcome')).protocol, 'tapecast.v1');
      session.socket.close();
    }
  },

  async 'acknowledgement, snapshot, updates, each once and in order'() {
    const session = await Session.open();
    const topics = ['trade', 'quote', 'book.10', 'ticker', 'status', 'instrument']
      .map((channel) => `${channel}:${name}`);
    const id = session.ask('subscribe', { topics });
    const acknowledged = new Set();
    const last = new Map();
    let updates = 0;
    await session.until((message) => {
      if (message.id === id) message.topics.forEach(({ topic }) => acknowledged.add(topic));
      if (message.type) {
        assert.ok(acknowledged.has(message.topic), 'nothing comes before its acknowledgement');
        if (message.type === 'snapshot') assert.ok(!last.has(message.topic), 'one snapshot is enough');
        else if (/^(trade|book)/.test(message.topic)) assert.equal(message.prev, last.get(message.topic));
        else assert.ok(message.seq > last.get(message.topic));
        last.set(message.topic, message.seq);
        updates += message.type === 'update' ? 1 : 0;
      }
      return updates >= 50 && last.size === topics.length;
    });
    session.socket.close();
  },

  async 'two clients of a topic receive the same bytes'() {
    const frames = await Promise.all([1, 2].map(async () => {
      const socket = new WebSocket(url, 'tapecast.v1.json');
      const texts = new Map();
      await new Promise((done, failed) => {
        const timer = setTimeout(() => failed(new Error('too few frames')), PATIENCE_MS);
        socket.on('open', () => socket.send(JSON.stringify({ op: 'subscribe', id: 1, topics: [`book.25:${name}`] })));
        socket.on('message', (bytes) => {
          const message = JSON.parse(bytes);
          if (message.type === 'update') texts.set(message.seq, bytes.toString());
          if (texts.size === 100) {
            clearTimeout(timer);
            done();
          }
        });
        socket.on('error', failed);
      });
      socket.terminate();
      return texts;
    }));
    const both = [...frames[0].keys()].filter((seq) => frames[1].has(seq));
    assert.ok(both.length > 20, `${both.length} frames in common`);
    for (const seq of both) assert.equal(frames[0].get(seq), frames[1].get(seq));
  },

  async 'a request in fragments is one request, with a ping between them'() {
    const session = await Session.open();
    const text = JSON.stringify({ op: 'subscribe', id: 7, topics: [`quote:${name}`] });
    session.socket.send(text.slice(0, 10), { fin: false });
    const pong = new Promise((done) => session.socket.once('pong', done));
    session.socket.ping('between');
    session.socket.send(text.slice(10), { fin: true });
    assert.equal((await pong).toString(), 'between');
    assert.equal((await session.until((m) => m.id === 7)).op, 'subscribed');
    session.socket.close();
  },

  async 'a request that is too large is refused, and a binary one is not taken'() {
    const session = await Session.open();
    const { limits } = await session.until((m) => m.op === 'welcome');
    session.socket.send(JSON.stringify({ op: 'ping', id: 1, more: 'x'.repeat(limits.request_bytes) }));
    const outcome = await Promise.race([session.closed, session.until((m) => m.op === 'error' || m.op === 'bye')]);
    assert.ok(outcome.error === 'too_large' || outcome.code === 1009, JSON.stringify(outcome));
    const binary = await Session.open();
    binary.socket.send(Buffer.from([1, 2, 3]));
    const refused = await Promise.race([binary.closed, binary.until((m) => m.op === 'error' || m.op === 'bye')]);
    assert.ok(refused.code === 1003 || refused.op, JSON.stringify(refused));
    session.socket.terminate();
    binary.socket.terminate();
  },

  async 'asking too fast is answered by name'() {
    const session = await Session.open();
    const { limits } = await session.until((m) => m.op === 'welcome');
    for (let i = 0; i < limits.requests_per_s * 3; i += 1) session.ask('ping');
    const outcome = await Promise.race([session.closed, session.until((m) => m.error === 'too_many_requests')]);
    assert.ok(outcome.error === 'too_many_requests' || outcome.code === 4029, JSON.stringify(outcome));
    session.socket.terminate();
  },

  async 'a page from elsewhere is not let in'() {
    const refusal = await Session.open(url, { origin: 'https://elsewhere.example' }).then(() => null, (error) => error);
    assert.match(String(refusal), /403/);
  },

  async 'a frame without mask, or with a reserved bit, ends in 1002'() {
    for (const [what, frame] of [['mask', [0x81, 0x02, 0x7b, 0x7d]], ['bit', [0xc1, 0x80, 0, 0, 0, 0]]]) {
      assert.equal(await closeCodeAfter(Buffer.from(frame)), 1002, what);
    }
  },

  async 'a close is answered with the same code'() {
    const session = await Session.open();
    await session.until((m) => m.op === 'welcome');
    session.socket.close(1000, 'done');
    assert.equal((await session.closed).code, 1000);
  },
};

/** Speaks raw TCP: a handshake, the bytes, and the code of the close frame that comes back. */
function closeCodeAfter(bytes) {
  const { hostname, port, pathname } = new URL(url);
  return new Promise((done, failed) => {
    const socket = connectTcp(Number(port), hostname);
    const timer = setTimeout(() => failed(new Error('no close frame')), PATIENCE_MS);
    let seen = Buffer.alloc(0);
    socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
      + 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
    let sent = false;
    socket.on('error', failed);
    socket.on('data', (more) => {
      seen = Buffer.concat([seen, more]);
      const head = seen.indexOf('\r\n\r\n');
      if (head < 0) return;
      if (!sent) {
        sent = true;
        assert.match(seen.subarray(0, head).toString(), /s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/, 'the accept key of RFC 6455');
        socket.write(bytes);
      }
      for (let at = head + 4; at + 2 <= seen.length;) {
        let length = seen[at + 1] & 127;
        let start = at + 2;
        if (length === 126 && seen.length >= at + 4) [length, start] = [seen.readUInt16BE(at + 2), at + 4];
        if (start + length > seen.length) return;
        if ((seen[at] & 15) === 8) {
          clearTimeout(timer);
          socket.destroy();
          done(seen.readUInt16BE(start));
          return;
        }
        at = start + length;
      }
    });
  });
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

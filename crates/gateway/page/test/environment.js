// Stand-ins for what the page's modules take from outside: sockets that a test speaks through, and
// a clock that moves when told to.

import { Feed } from '../feed.js';

/** One end of a connection; the test is the gateway. */
export class FakeSocket {
  constructor(url, protocol) {
    Object.assign(this, { url, protocol, sent: [], closed: null });
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.closed = code;
  }

  /** The gateway says something. */
  say(message) {
    this.onmessage({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }

  /** The gateway, or the network, ends it. */
  end(code = 1006, reason = '') {
    this.onclose({ code, reason });
  }

  /** The requests of one kind, pings apart. */
  asked(op) {
    return this.sent.filter((request) => request.op === op);
  }
}

export class World {
  constructor() {
    this.now = 1_000;
    this.timers = [];
    this.sockets = [];
    this.random = 0.5;
    this.feed = new Feed('ws://gateway/v1/ws', {
      socket: (url, protocol) => this.sockets[this.sockets.push(new FakeSocket(url, protocol)) - 1],
      clock: () => this.now,
      wall: () => 1_800_000_000_000 + this.now,
      random: () => this.random,
      setTimer: (run, ms) => {
        const timer = { at: this.now + ms, run };
        this.timers.push(timer);
        return timer;
      },
      clearTimer: (timer) => {
        this.timers = this.timers.filter((one) => one !== timer);
      },
    });
  }

  /** Lets time pass, running what falls due in order. */
  pass(ms) {
    const until = this.now + ms;
    for (;;) {
      const due = this.timers.filter((one) => one.at <= until).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.timers = this.timers.filter((one) => one !== due);
      this.now = Math.max(this.now, due.at);
      due.run();
    }
    this.now = until;
  }

  /** The newest connection. */
  get socket() {
    return this.sockets.at(-1);
  }

  /** Connects and is welcomed. */
  welcome(limits = {}) {
    if (this.sockets.length === 0) this.feed.connect();
    this.socket.say({
      op: 'welcome', protocol: 'tapecast.v1', connection: '1', node: 'n', now: '1', heartbeat_ms: 1_000,
      limits: { topics: 100, requests_per_s: 20, request_bytes: 16_384, ...limits },
    });
  }

  /** Subscribes, has it acknowledged, and hands back what the consumer heard. */
  subscribe(topic, answers = {}) {
    const heard = [];
    const hear = (name) => (value) => {
      heard.push([name, value]);
      return answers[name];
    };
    this.feed.subscribe(topic, Object.fromEntries(
      ['snapshot', 'update', 'gap', 'lost', 'acknowledged', 'refused'].map((name) => [name, hear(name)]),
    ));
    this.pass(200);
    this.acknowledge(topic);
    heard.length = 0;
    return heard;
  }

  /** Acknowledges the newest subscription of a topic. */
  acknowledge(topic) {
    const { id } = this.socket.asked('subscribe').findLast(({ topics }) => topics.includes(topic));
    this.socket.say({ op: 'subscribed', id, topics: [{ topic, epoch: 5, seq: 10, start: 'snapshot' }] });
  }
}

export const snapshot = (topic, seq, more = {}) => ({ topic, type: 'snapshot', epoch: 5, seq, bids: [], asks: [], ...more });
export const update = (topic, seq, prev, more = {}) => ({ topic, type: 'update', epoch: 5, seq, prev, bids: [], asks: [], ...more });

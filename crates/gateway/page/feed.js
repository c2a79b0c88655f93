// One connection to a gateway, kept up: subscriptions, the client rule, resync, reconnect.
//
// Whoever subscribes hands in a consumer and hears only what the rule lets through:
//   snapshot(frame)  the topic's whole state         update(frame)  a change that fits
//   gap(notice)      announced loss (optional)       lost()         state is no longer kept up (optional)
//   acknowledged(entry), refused(entry)              the gateway's answer (optional)
// `snapshot` and `update` may answer false, "this cannot be right" (a checksum that disagrees): the
// topic is then resynced, and hears nothing until its new snapshot.
//
// Requests are batched, cut to the size and paced to the rate that the gateway's welcome names.
// Sockets, clocks, timers and chance come from outside, so that tests own them.

import { APPLY, Position, RESYNC } from './position.js';

export const PROTOCOL = 'tapecast.v1.json';

/** The states a connection can be in. */
export const State = Object.freeze({
  CONNECTING: 'connecting',
  LIVE: 'live',
  STALE: 'stale',
  RECONNECTING: 'reconnecting',
  CLOSED: 'closed',
});

const CONNECT_MS_MAX = 10_000;
const BACKOFF_MS_MIN = 500;
const BACKOFF_MS_MAX = 15_000;
const PING_EVERY_MS = 5_000;
const RESYNC_AGAIN_MS = 5_000;
/** Silence after which what is shown is called stale, in heartbeats; and after which we hang up. */
const STALE_BEATS = 3;
const DEAD_BEATS = 10;
/** Authentication failed, not entitled: trying again would not help. */
const FINAL_CODES = new Set([4001, 4003]);

export class Feed {
  #socket = null;
  #topics = new Map();
  #ask = { subscribe: new Set(), unsubscribe: new Set(), resync: new Set() };
  #inflight = new Map();
  #nextId = 1;
  #timers = { tick: null, retry: null, flush: null };
  #limits = { requests_per_s: 20, request_bytes: 16_384, topics: Infinity };
  #heartbeatMs = 1_000;
  #attempt = 0;
  #retryWindow = null;
  #farewell = '';
  #heardAt = 0;
  #openedAt = 0;
  #sentAt = -Infinity;
  #ping = null;
  #pingedAt = -Infinity;
  #offset = { ms: 0, rtt: Infinity };
  #delays = [];

  /**
   * @param url where the gateway speaks, `ws://…/v1/ws`
   * @param env `{socket, clock, wall, random, setTimer, clearTimer}`, each optional
   */
  constructor(url, env = {}) {
    this.url = url;
    this.env = {
      socket: (to, protocol) => new WebSocket(to, protocol),
      clock: () => performance.now(),
      wall: () => Date.now(),
      random: Math.random,
      setTimer: (run, ms) => setTimeout(run, ms),
      clearTimer: (timer) => clearTimeout(timer),
      ...env,
    };
    this.state = State.CONNECTING;
    this.reason = '';
    this.welcome = null;
    this.retryAt = null;
    /** What has been counted since the start; never reset. */
    this.counts = { frames: 0, bytes: 0, ignored: 0, gaps: 0, lost: 0, resyncs: 0, refused: 0, connects: 0 };
    /** Milliseconds: round trip, the server's lag and queue for us, serialised → here (median). */
    this.figures = { rtt: null, lag: null, queued: null, delay: null };
    this.onstate = () => {};
  }

  /** How many topics the gateway lets one connection have. */
  get topicsMax() {
    return this.#limits.topics;
  }

  /** Where a topic stands: `{epoch, seq}`, null if nothing has come. */
  position(topic) {
    const position = this.#topics.get(topic)?.position;
    return position && position.last !== null ? { epoch: position.epoch, seq: position.last } : null;
  }

  /** Opens the connection and keeps it up until `close`. */
  connect() {
    this.#enter(this.#attempt === 0 ? State.CONNECTING : State.RECONNECTING);
    this.retryAt = null;
    this.#farewell = '';
    this.#openedAt = this.env.clock();
    this.#heardAt = this.#openedAt;
    let socket;
    try {
      socket = this.env.socket(this.url, PROTOCOL);
    } catch (error) {
      this.#retry(`cannot connect: ${error.message}`);
      return;
    }
    this.#socket = socket;
    socket.onmessage = (event) => socket === this.#socket && this.#message(event.data);
    socket.onclose = (event) => socket === this.#socket && this.#closed(event.code, event.reason);
    this.#tick();
  }

  /** Hangs up for good. */
  close() {
    this.#drop(1000);
    this.#clearTimers();
    this.#enter(State.CLOSED, 'closed here');
  }

  /** Hangs up and comes back at once, as when the network has just returned. */
  reconnect() {
    if (this.state === State.CLOSED) return;
    this.#drop(1000);
    this.#clearTimers();
    this.#lose();
    this.connect();
  }

  /** Subscribes; a topic has one consumer. */
  subscribe(topic, consumer) {
    if (this.#topics.has(topic)) throw new Error(`${topic} has a consumer already`);
    this.#topics.set(topic, { consumer, position: new Position(topic), request: null, resyncAt: null, start: null });
    // An unsubscribe that has not left yet must still leave first, or the gateway would drop both.
    this.#ask.subscribe.add(topic);
    this.#flushSoon();
  }

  /** Unsubscribes; the consumer hears no more. */
  unsubscribe(topic) {
    if (!this.#topics.delete(topic)) return;
    this.#ask.resync.delete(topic);
    // If the subscription has not left, there is nothing to take back.
    if (!this.#ask.subscribe.delete(topic)) this.#ask.unsubscribe.add(topic);
    this.#flushSoon();
  }

  /** Asks for the topic's snapshot; until it comes, updates are not passed on. */
  resync(topic) {
    const entry = this.#topics.get(topic);
    if (!entry || entry.resyncAt !== null) return;
    entry.position.reset();
    entry.resyncAt = this.env.clock();
    this.counts.resyncs += 1;
    this.#ask.resync.add(topic);
    entry.consumer.lost?.();
    this.#flushSoon();
  }

  // ----- what arrives

  #message(text) {
    this.#heardAt = this.env.clock();
    this.counts.frames += 1;
    this.counts.bytes += text.length;
    if (this.state === State.STALE) this.#enter(State.LIVE);
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      // A gateway never sends this; whatever sits between us and it is not to be trusted.
      this.#hangUp('a message was not JSON');
      return;
    }
    if (message.op === undefined) this.#frame(message);
    else this.#control(message);
  }

  #frame(frame) {
    const entry = this.#topics.get(frame.topic);
    // Before its acknowledgement a frame belongs to an earlier subscription of the same topic.
    if (!entry || entry.request !== 'done') return;
    this.#sampleDelay(frame.ts_out);
    if (entry.resyncAt !== null && frame.type !== 'snapshot') return;
    const [verdict, whole] = entry.position.judge(frame);
    if (verdict === RESYNC) {
      entry.resyncAt = null;
      this.resync(frame.topic);
    } else if (verdict === APPLY) {
      this.#attempt = 0;
      const { consumer } = entry;
      if (frame.type === 'snapshot') entry.resyncAt = null;
      const right = frame.type === 'snapshot' ? consumer.snapshot(whole) : consumer.update(frame);
      if (right === false) this.resync(frame.topic);
    } else if (frame.type !== 'snapshot') {
      this.counts.ignored += 1;
    }
  }

  #control(message) {
    switch (message.op) {
      case 'welcome': return this.#welcomed(message);
      case 'subscribed': return this.#subscribed(message);
      case 'unsubscribed': this.#inflight.delete(message.id); return undefined;
      case 'heartbeat': return this.#heartbeat(message);
      case 'gap': return this.#gap(message);
      case 'pong': return this.#pong(message);
      case 'error': return this.#error(message);
      case 'drain':
        this.#retryWindow = [message.retry_min_ms, message.retry_max_ms];
        return undefined;
      case 'bye':
        this.#farewell = message.message || message.error;
        return undefined;
      default: return undefined; // what a later gateway may add
    }
  }

  #welcomed(message) {
    this.welcome = message;
    this.#heartbeatMs = message.heartbeat_ms || this.#heartbeatMs;
    this.#limits = { ...this.#limits, ...message.limits };
    this.counts.connects += 1;
    this.#enter(State.LIVE);
    this.#flush();
  }

  #subscribed(message) {
    const request = this.#inflight.get(message.id);
    this.#inflight.delete(message.id);
    if (request?.op === 'resync') {
      // The gateway does not know of the subscription: make it anew.
      for (const { topic } of message.rejected || []) this.#again(topic);
      return;
    }
    for (const answer of message.topics || []) {
      const entry = this.#topics.get(answer.topic);
      // An answer without an id names a topic that a pattern brought; we use none.
      if (!entry || entry.request !== message.id) continue;
      entry.request = 'done';
      entry.start = answer.start;
      entry.position.reset();
      entry.consumer.acknowledged?.(answer);
    }
    for (const answer of message.rejected || []) {
      const entry = this.#topics.get(answer.topic);
      if (!entry || entry.request !== message.id) continue;
      this.counts.refused += 1;
      if (answer.error === 'upstream_down') entry.request = 'done'; // kept: it comes when it can
      else this.#topics.delete(answer.topic);
      entry.consumer.refused?.(answer);
    }
  }

  #heartbeat(message) {
    this.figures.lag = message.lag_ms;
    this.figures.queued = message.queued_bytes;
    for (const [topic, epoch, seq] of message.topics || []) {
      const entry = this.#topics.get(topic);
      if (entry?.request === 'done' && entry.position.missed(epoch, seq)) this.resync(topic);
    }
  }

  #gap(notice) {
    const entry = this.#topics.get(notice.topic);
    if (!entry || entry.request !== 'done') return;
    this.counts.gaps += 1;
    this.counts.lost += Math.max(0, notice.to - notice.from + 1);
    if (entry.resyncAt !== null) return;
    entry.position.gap(notice);
    entry.consumer.gap?.(notice);
  }

  #pong(message) {
    if (!this.#ping || message.id !== this.#ping.id) return;
    const rtt = this.env.clock() - this.#ping.at;
    this.figures.rtt = rtt;
    // The clocks differ by what the quickest round trip says; older samples lose their weight.
    this.#offset.rtt *= 1.5;
    if (rtt <= this.#offset.rtt) {
      this.#offset = { rtt, ms: millis(message.now) - (this.#ping.wall + rtt / 2) };
    }
    this.#ping = null;
  }

  #error(message) {
    const request = this.#inflight.get(message.id);
    this.#inflight.delete(message.id);
    if (!request) return;
    const again = message.error === 'too_many_requests';
    for (const topic of request.topics) {
      const entry = this.#topics.get(topic);
      if (!entry) continue;
      if (again) {
        this.#ask[request.op].add(topic);
      } else if (request.op === 'subscribe') {
        this.counts.refused += 1;
        this.#topics.delete(topic);
        entry.consumer.refused?.({ topic, error: message.error, message: message.message });
      }
    }
    if (again) {
      this.#sentAt = this.env.clock() + 1_000;
      this.#flushSoon();
    }
  }

  #again(topic) {
    const entry = this.#topics.get(topic);
    if (!entry) return;
    entry.request = null;
    entry.resyncAt = null;
    this.#ask.subscribe.add(topic);
    this.#flushSoon();
  }

  // ----- what leaves

  #flushSoon() {
    if (this.#timers.flush !== null || this.welcome === null || this.#socket === null) return;
    const wait = Math.max(0, this.#sentAt + this.#pace() - this.env.clock());
    this.#timers.flush = this.env.setTimer(() => {
      this.#timers.flush = null;
      this.#flush();
    }, wait);
  }

  /** Milliseconds between requests: half of what is allowed, as pings count too. */
  #pace() {
    return 2_000 / this.#limits.requests_per_s;
  }

  /** Sends one request, and sees to it that the next one follows when its time has come. */
  #flush() {
    if (this.#socket === null || this.welcome === null) return;
    if (this.env.clock() < this.#sentAt + this.#pace()) {
      this.#flushSoon();
      return;
    }
    const op = ['unsubscribe', 'subscribe', 'resync'].find((name) => this.#ask[name].size > 0);
    if (op === undefined) return;
    const id = this.#nextId;
    const topics = this.#take(op);
    if (op === 'subscribe') for (const topic of topics) this.#topics.get(topic).request = id;
    this.#request({ op, id, topics });
    this.#inflight.set(id, { op, topics });
    this.#flushSoon();
  }

  /** As many topics as one request may carry. */
  #take(op) {
    const topics = [];
    let bytes = 64;
    for (const topic of this.#ask[op]) {
      bytes += topic.length + 3;
      if (topics.length > 0 && bytes > this.#limits.request_bytes) break;
      topics.push(topic);
      this.#ask[op].delete(topic);
    }
    return topics;
  }

  #request(message) {
    this.#nextId += 1;
    this.#sentAt = this.env.clock();
    this.#socket.send(JSON.stringify(message));
  }

  // ----- time

  #tick() {
    this.#timers.tick = this.env.setTimer(() => this.#tick(), this.#heartbeatMs / 2);
    const now = this.env.clock();
    if (this.welcome === null) {
      if (now - this.#openedAt > CONNECT_MS_MAX) this.#hangUp('no answer');
      return;
    }
    const silent = now - this.#heardAt;
    if (silent > DEAD_BEATS * this.#heartbeatMs) {
      this.#hangUp('the connection sent nothing for too long');
      return;
    }
    if (silent > STALE_BEATS * this.#heartbeatMs && this.state === State.LIVE) {
      this.#enter(State.STALE, 'no frame received');
    }
    if (now - this.#pingedAt > PING_EVERY_MS) {
      this.#pingedAt = now;
      this.#ping = { id: this.#nextId, at: now, wall: this.env.wall() };
      this.#request({ op: 'ping', id: this.#nextId });
    }
    for (const [topic, entry] of this.#topics) {
      if (entry.resyncAt !== null && now - entry.resyncAt > RESYNC_AGAIN_MS) {
        entry.resyncAt = null;
        this.resync(topic);
      }
    }
    this.#takeDelay();
  }

  #sampleDelay(tsOut) {
    if (this.#delays.length >= 256 || tsOut === undefined || this.#offset.rtt === Infinity) return;
    this.#delays.push(this.env.wall() + this.#offset.ms - millis(tsOut));
  }

  #takeDelay() {
    if (this.#delays.length === 0) return;
    this.#delays.sort((a, b) => a - b);
    this.figures.delay = Math.max(0, this.#delays[this.#delays.length >> 1]);
    this.#delays = [];
  }

  // ----- ends and beginnings

  #enter(state, reason = '') {
    if (state === this.state && reason === this.reason) return;
    this.state = state;
    if (reason !== '' || state === State.LIVE) this.reason = reason;
    this.onstate(state);
  }

  #drop(code) {
    const socket = this.#socket;
    this.#socket = null;
    try {
      socket?.close(code);
    } catch {
      // It was not open yet; letting go of it is enough.
    }
  }

  #hangUp(reason) {
    this.#drop(1000);
    this.#retry(reason);
  }

  #closed(code, reason) {
    this.#socket = null;
    const why = this.#farewell || reason || (code === 1006 ? 'no connection' : `closed with ${code}`);
    if (FINAL_CODES.has(code)) {
      this.#clearTimers();
      this.#lose();
      this.#enter(State.CLOSED, why);
    } else {
      this.#retry(why);
    }
  }

  /** Everything that was known is past; it will be subscribed to anew. */
  #lose() {
    this.welcome = null;
    this.#ping = null;
    this.#pingedAt = -Infinity;
    this.#sentAt = -Infinity;
    this.#inflight.clear();
    this.#ask = { subscribe: new Set(this.#topics.keys()), unsubscribe: new Set(), resync: new Set() };
    this.figures = { rtt: null, lag: null, queued: null, delay: null };
    for (const entry of this.#topics.values()) {
      entry.position.reset();
      entry.request = null;
      entry.resyncAt = null;
      entry.consumer.lost?.();
    }
  }

  #retry(reason) {
    this.#clearTimers();
    this.#lose();
    const [least, most] = this.#retryWindow ?? backoff(this.#attempt);
    this.#retryWindow = null;
    this.#attempt += 1;
    const wait = least + this.env.random() * (most - least);
    this.retryAt = this.env.clock() + wait;
    this.#enter(State.RECONNECTING, reason);
    this.#timers.retry = this.env.setTimer(() => {
      this.#timers.retry = null;
      this.connect();
    }, wait);
  }

  #clearTimers() {
    for (const [name, timer] of Object.entries(this.#timers)) {
      if (timer !== null) this.env.clearTimer(timer);
      this.#timers[name] = null;
    }
  }
}

/** The window, in milliseconds, in which attempt number `attempt` falls, at random. */
export function backoff(attempt) {
  const most = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** attempt);
  return [most / 2, most];
}

/** Milliseconds, with microseconds behind the point, from a text of nanoseconds. */
function millis(nanos) {
  return Number(nanos.slice(0, -3)) / 1_000;
}

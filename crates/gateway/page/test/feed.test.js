import assert from 'node:assert/strict';
import test from 'node:test';
import { backoff, State } from '../feed.js';
import { snapshot, update, World } from './environment.js';

const BOOK = 'book.25:sim:A-B';
const QUOTE = 'quote:sim:A-B';

test('nothing is asked before the welcome, then everything in one request', () => {
  const world = new World();
  world.feed.subscribe(BOOK, {});
  world.feed.subscribe(QUOTE, {});
  world.feed.connect();
  world.pass(500);
  assert.deepEqual(world.socket.sent, []);
  world.welcome();
  assert.deepEqual(world.socket.asked('subscribe').map(({ topics }) => topics), [[BOOK, QUOTE]]);
  assert.equal(world.feed.state, State.LIVE);
  assert.equal(world.socket.protocol, 'tapecast.v1.json');
});

test('requests are cut to the size and paced to the rate the welcome names', () => {
  const world = new World();
  for (let i = 0; i < 100; i += 1) world.feed.subscribe(`quote:sim:SYMBOL${i}-USD`, {});
  world.welcome({ request_bytes: 512, requests_per_s: 10 });
  world.pass(3_000);
  const requests = world.socket.asked('subscribe');
  assert.ok(requests.length > 3);
  assert.ok(requests.every((request) => JSON.stringify(request).length <= 512));
  assert.equal(requests.flatMap(({ topics }) => topics).length, 100);
  const all = new World();
  all.feed.subscribe(BOOK, {});
  all.welcome({ requests_per_s: 10 });
  for (let i = 0; i < 50; i += 1) {
    all.feed.subscribe(`quote:sim:S${i}`, {});
    all.pass(20);
  }
  assert.ok(all.socket.asked('subscribe').length <= 10, 'a second of changes is at most ten requests');
});

test('frames before the acknowledgement belong to an earlier subscription', () => {
  const world = new World();
  world.welcome();
  const heard = [];
  world.feed.subscribe(BOOK, { snapshot: (frame) => { heard.push(frame.seq); } });
  world.pass(200);
  world.socket.say(snapshot(BOOK, 1));
  assert.deepEqual(heard, []);
  world.acknowledge(BOOK);
  world.socket.say(snapshot(BOOK, 2));
  assert.deepEqual(heard, [2]);
});

test('a lost update is noticed, asked for once, and nothing is shown until the snapshot', () => {
  const world = new World();
  world.welcome();
  const heard = world.subscribe(BOOK);
  world.socket.say(snapshot(BOOK, 10));
  world.socket.say(update(BOOK, 12, 11));
  world.socket.say(update(BOOK, 13, 12));
  world.pass(500);
  assert.deepEqual(world.socket.asked('resync').map(({ topics }) => topics), [[BOOK]]);
  assert.deepEqual(heard.map(([what]) => what), ['snapshot', 'lost']);
  world.socket.say(snapshot(BOOK, 13));
  world.socket.say(update(BOOK, 14, 13));
  assert.deepEqual(heard.slice(2).map(([what, frame]) => [what, frame.seq]), [['snapshot', 13], ['update', 14]]);
  assert.equal(world.feed.counts.resyncs, 1);
});

test('a consumer that says "this cannot be right" is resynced', () => {
  const world = new World();
  world.welcome();
  world.subscribe(BOOK, { update: false });
  world.socket.say(snapshot(BOOK, 10));
  world.socket.say(update(BOOK, 11, 10));
  world.pass(200);
  assert.equal(world.socket.asked('resync').length, 1);
});

test('a resync that is not answered is repeated', () => {
  const world = new World();
  world.welcome();
  world.subscribe(BOOK);
  world.feed.resync(BOOK);
  for (let i = 0; i < 8; i += 1) {
    world.pass(1_000);
    world.socket.say({ op: 'heartbeat', now: '1', topics: [], queued_bytes: 0, lag_ms: 0 });
  }
  assert.equal(world.socket.asked('resync').length, 2);
});

test('a topic that the gateway turns out not to know is subscribed to anew', () => {
  const world = new World();
  world.welcome();
  const heard = world.subscribe(QUOTE);
  world.feed.resync(QUOTE);
  world.pass(200);
  const { id } = world.socket.asked('resync')[0];
  world.socket.say({ op: 'subscribed', id, topics: [], rejected: [{ topic: QUOTE, error: 'not_subscribed', message: '' }] });
  world.pass(200);
  assert.equal(world.socket.asked('subscribe').length, 2);
  world.acknowledge(QUOTE);
  world.socket.say(snapshot(QUOTE, 3));
  assert.equal(heard.at(-1)[0], 'snapshot');
});

test('a gap is passed on and counted, and the stream goes on', () => {
  const world = new World();
  world.welcome();
  const heard = world.subscribe('trade:sim:A-B');
  world.socket.say({ topic: 'trade:sim:A-B', type: 'snapshot', epoch: 5, seq: 10, trades: [] });
  world.socket.say({ op: 'gap', topic: 'trade:sim:A-B', epoch: 5, from: 11, to: 20, reason: 'slow_consumer' });
  world.socket.say({ topic: 'trade:sim:A-B', type: 'update', epoch: 5, seq: 21, prev: 20, trades: [] });
  assert.deepEqual(heard.map(([what]) => what), ['snapshot', 'gap', 'update']);
  assert.deepEqual([world.feed.counts.gaps, world.feed.counts.lost, world.feed.counts.resyncs], [1, 10, 0]);
});

test('a heartbeat that names a later frame than came is a loss', () => {
  const world = new World();
  world.welcome();
  world.subscribe(QUOTE);
  world.socket.say(snapshot(QUOTE, 10));
  const beat = (seq) => world.socket.say({ op: 'heartbeat', now: '1', topics: [[QUOTE, 5, seq]], queued_bytes: 7, lag_ms: 3 });
  beat(10);
  world.pass(200);
  assert.equal(world.socket.asked('resync').length, 0);
  beat(12);
  world.pass(200);
  assert.equal(world.socket.asked('resync').length, 1);
  assert.deepEqual([world.feed.figures.lag, world.feed.figures.queued], [3, 7]);
});

test('silence is stale, longer silence is hung up on', () => {
  const world = new World();
  world.welcome();
  world.pass(4_000);
  assert.equal(world.feed.state, State.STALE);
  world.socket.say({ op: 'heartbeat', now: '1', topics: [], queued_bytes: 0, lag_ms: 0 });
  assert.equal(world.feed.state, State.LIVE);
  const first = world.socket;
  world.pass(11_500);
  assert.equal(first.closed, 1000);
  assert.notEqual(world.socket, first, 'and it has come back');
});

test('a lost connection comes back after a random wait and subscribes to everything anew', () => {
  const world = new World();
  world.welcome();
  const heard = world.subscribe(BOOK);
  world.socket.say(snapshot(BOOK, 10));
  world.socket.end(1006);
  assert.equal(world.feed.state, State.RECONNECTING);
  assert.deepEqual(heard.at(-1)[0], 'lost');
  assert.equal(world.feed.retryAt - world.now, 375, 'half way between 250 and 500 ms');
  world.pass(400);
  assert.equal(world.sockets.length, 2);
  world.welcome();
  world.acknowledge(BOOK);
  world.socket.say(snapshot(BOOK, 3, { epoch: 6 }));
  assert.equal(heard.at(-1)[0], 'snapshot');
});

test('waits grow up to a limit, and a drain sets its own', () => {
  assert.deepEqual(backoff(0), [250, 500]);
  assert.deepEqual(backoff(3), [2_000, 4_000]);
  assert.deepEqual(backoff(30), [7_500, 15_000]);
  const world = new World();
  world.welcome();
  world.socket.say({ op: 'drain', in_ms: 100, retry_min_ms: 1_000, retry_max_ms: 9_000 });
  world.socket.end(1001);
  assert.equal(world.feed.retryAt - world.now, 5_000);
});

test('a failed authentication is final, and says why', () => {
  const world = new World();
  world.welcome();
  world.socket.say({ op: 'bye', error: 'auth_failed', message: 'the token is not valid' });
  world.socket.end(4001);
  world.pass(60_000);
  assert.equal(world.feed.state, State.CLOSED);
  assert.equal(world.feed.reason, 'the token is not valid');
  assert.equal(world.sockets.length, 1);
});

test('a refused topic is told so, and one whose feed is down is kept', () => {
  const world = new World();
  world.welcome();
  const refused = [];
  for (const topic of [BOOK, QUOTE]) world.feed.subscribe(topic, { refused: (answer) => refused.push(answer.error) });
  world.pass(200);
  const { id } = world.socket.asked('subscribe')[0];
  world.socket.say({
    op: 'subscribed', id, topics: [],
    rejected: [{ topic: BOOK, error: 'unknown_symbol', message: '' }, { topic: QUOTE, error: 'upstream_down', message: '' }],
  });
  assert.deepEqual(refused, ['unknown_symbol', 'upstream_down']);
  world.feed.subscribe(BOOK, {});
  assert.throws(() => world.feed.subscribe(QUOTE, {}), /has a consumer/);
});

test('too many requests are asked again later', () => {
  const world = new World();
  world.welcome();
  world.feed.subscribe(BOOK, {});
  world.pass(200);
  const { id } = world.socket.asked('subscribe')[0];
  world.socket.say({ op: 'error', id, error: 'too_many_requests', message: '' });
  world.pass(500);
  assert.equal(world.socket.asked('subscribe').length, 1);
  world.pass(1_500);
  assert.equal(world.socket.asked('subscribe').length, 2);
});

test('unsubscribing before the request has left asks for nothing', () => {
  const world = new World();
  world.welcome();
  world.pass(50);
  world.feed.subscribe(BOOK, {});
  world.feed.unsubscribe(BOOK);
  world.pass(500);
  assert.deepEqual(world.socket.sent.filter(({ op }) => op !== 'ping'), []);
});

test('leaving a topic and coming back leaves first', () => {
  const world = new World();
  world.welcome();
  world.subscribe(BOOK);
  world.feed.unsubscribe(BOOK);
  world.feed.subscribe(BOOK, {});
  world.pass(500);
  const ops = world.socket.sent.filter(({ op }) => op !== 'ping').map(({ op }) => op);
  assert.deepEqual(ops, ['subscribe', 'unsubscribe', 'subscribe']);
});

test('a ping measures the round trip, and the difference of the clocks is taken out of the delay', () => {
  const world = new World();
  world.welcome();
  world.subscribe(QUOTE);
  world.pass(300); // to the first tick, which pings
  const { id } = world.socket.asked('ping')[0];
  const wall = () => 1_800_000_000_000 + world.now;
  const there = wall() + 5 + 60_000; // their clock is a minute ahead; the answer left half way
  world.now += 10;
  world.socket.say({ op: 'pong', id, now: `${there}000000` });
  assert.equal(world.feed.figures.rtt, 10);
  world.socket.say(snapshot(QUOTE, 10, { ts_out: `${wall() + 60_000 - 3}000000` }));
  world.pass(1_000);
  assert.equal(Math.round(world.feed.figures.delay), 3);
});

test('what is not JSON ends the connection', () => {
  const world = new World();
  world.welcome();
  world.socket.say('<html>');
  assert.equal(world.socket.closed, 1000);
  assert.equal(world.feed.state, State.RECONNECTING);
});

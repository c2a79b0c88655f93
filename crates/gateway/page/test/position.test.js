import assert from 'node:assert/strict';
import test from 'node:test';
import { APPLY, IGNORE, Position, RESYNC } from '../position.js';
import { snapshot, update } from './environment.js';

const BOOK = 'book.25:sim:A-B';
const QUOTE = 'quote:sim:A-B';

function after(topic, frame) {
  const position = new Position(topic);
  assert.equal(position.judge(frame)[0], APPLY);
  return position;
}

test('an update of a book applies only if it follows the last frame', () => {
  const position = after(BOOK, snapshot(BOOK, 10));
  assert.equal(position.judge(update(BOOK, 12, 10))[0], APPLY);
  assert.equal(position.judge(update(BOOK, 12, 10))[0], IGNORE);
  assert.equal(position.judge(update(BOOK, 15, 13))[0], RESYNC);
  assert.equal(position.last, 12);
});

test('trades form a chain too', () => {
  const position = after('trade:sim:A-B', { topic: 'trade:sim:A-B', type: 'snapshot', epoch: 5, seq: 3, trades: [] });
  assert.equal(position.judge(update('trade:sim:A-B', 5, 4))[0], RESYNC);
});

test('a quote applies whenever it is newer, whatever came between', () => {
  const position = after(QUOTE, snapshot(QUOTE, 10));
  assert.equal(position.judge(update(QUOTE, 99, 98))[0], APPLY);
  assert.equal(position.judge(update(QUOTE, 99, 98))[0], IGNORE);
});

test('a snapshot is always applied, also an older one', () => {
  const position = after(BOOK, snapshot(BOOK, 10));
  assert.equal(position.judge(snapshot(BOOK, 7))[0], APPLY);
  assert.equal(position.last, 7);
});

test('a new epoch breaks a chain, and is news of its own elsewhere', () => {
  const book = after(BOOK, snapshot(BOOK, 10));
  assert.equal(book.judge(update(BOOK, 11, 10, { epoch: 6 }))[0], RESYNC);
  const quote = after(QUOTE, snapshot(QUOTE, 10));
  assert.equal(quote.judge(update(QUOTE, 1, 0, { epoch: 6 }))[0], APPLY);
  assert.equal(quote.judge(update(QUOTE, 50, 49))[0], IGNORE, 'the old epoch is past');
});

test('nothing can be built on nothing', () => {
  assert.equal(new Position(BOOK).judge(update(BOOK, 1, 0))[0], RESYNC);
  assert.equal(new Position(QUOTE).judge(update(QUOTE, 1, 0))[0], APPLY);
});

test('after a gap the next frame follows what the gap ends with', () => {
  const trade = 'trade:sim:A-B';
  const position = after(trade, { topic: trade, type: 'snapshot', epoch: 5, seq: 10, trades: [] });
  position.gap({ epoch: 5, from: 11, to: 20 });
  assert.equal(position.judge(update(trade, 21, 20))[0], APPLY);
  const quote = after(QUOTE, snapshot(QUOTE, 10));
  quote.gap({ epoch: 5, from: 11, to: 20 });
  assert.ok(quote.outdated);
  assert.equal(quote.judge(update(QUOTE, 20, 19))[0], IGNORE);
  assert.equal(quote.judge(update(QUOTE, 21, 20))[0], APPLY);
  assert.ok(!quote.outdated);
});

test('behind a gap a book begins with a snapshot', () => {
  const position = after(BOOK, snapshot(BOOK, 10));
  position.gap({ epoch: 5, from: 11, to: 20 });
  assert.equal(position.judge(update(BOOK, 21, 20))[0], RESYNC);
  assert.equal(position.judge(snapshot(BOOK, 21))[0], APPLY);
  assert.equal(position.judge(update(BOOK, 22, 21))[0], APPLY);
});

test('a snapshot in parts is one snapshot, handed over with its last part', () => {
  const position = new Position(BOOK);
  const part = (n, bids) => snapshot(BOOK, 9, { part: [n, 3], bids, asks: [] });
  assert.equal(position.judge(part(1, [['3', '1']]))[0], IGNORE);
  assert.equal(position.judge(part(2, [['2', '1']]))[0], IGNORE);
  assert.equal(position.last, null);
  const [verdict, whole] = position.judge(part(3, [['1', '1']]));
  assert.equal(verdict, APPLY);
  assert.deepEqual(whole.bids, [['3', '1'], ['2', '1'], ['1', '1']]);
  assert.equal(position.judge(part(3, []))[0], RESYNC, 'a part without its beginning');
});

test('a heartbeat that is ahead tells of a loss', () => {
  const position = after(QUOTE, snapshot(QUOTE, 10));
  assert.equal(position.missed(5, 10), false);
  assert.equal(position.missed(5, 11), true);
  assert.equal(position.missed(6, 1), true);
  assert.equal(position.missed(4, 99), false);
  assert.equal(new Position(QUOTE).missed(5, 0), false);
});

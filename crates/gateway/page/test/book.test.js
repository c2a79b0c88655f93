import assert from 'node:assert/strict';
import test from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { Book, crc32 } from '../book.js';

const levels = (side) => side.map((level) => level.join('x'));

test('the checksum is CRC-32 as everyone else computes it', () => {
  assert.equal(crc32('123456789'), 0xcbf43926);
  if (zlibCrc32) assert.equal(crc32('65083.67:0.24290402'), zlibCrc32('65083.67:0.24290402'));
});

test('bids fall and asks rise, whatever order the levels come in', () => {
  const book = new Book(25);
  book.replace({ bids: [['9.5', '1'], ['10', '2'], ['9.75', '3']], asks: [['101', '1'], ['11', '2'], ['11.5', '3']] });
  assert.deepEqual(levels(book.bids), ['10x2', '9.75x3', '9.5x1']);
  assert.deepEqual(levels(book.asks), ['11x2', '11.5x3', '101x1']);
});

test('sizes are absolute, zero removes, and removing what is not there is nothing', () => {
  const book = new Book(25);
  book.replace({ bids: [['10', '2'], ['9', '1']], asks: [] });
  book.apply({ bids: [['10', '5'], ['9', '0'], ['8', '0']], asks: [['11', '1']] });
  assert.deepEqual(levels(book.bids), ['10x5']);
  assert.deepEqual(levels(book.asks), ['11x1']);
});

test('a book without a snapshot is not an empty book', () => {
  const book = new Book(25);
  assert.equal(book.loaded, false);
  book.replace({ bids: [], asks: [] });
  assert.equal(book.loaded, true);
  book.clear();
  assert.equal(book.loaded, false);
});

test('a checksum covers the best ten asks rising, then the best ten bids falling', () => {
  const asks = Array.from({ length: 12 }, (_, i) => [String(101 + i), '1']);
  const bids = Array.from({ length: 12 }, (_, i) => [String(100 - i), '2']);
  const text = [...asks.slice(0, 10), ...bids.slice(0, 10)].flat().join(':');
  const book = new Book(25);
  assert.equal(book.replace({ asks, bids, checksum: crc32(text) }), true);
  assert.equal(book.verified, true);
});

test('a book of one level is checked over one level', () => {
  const book = new Book(1);
  assert.equal(book.replace({ bids: [['1', '2']], asks: [['3', '4']], checksum: crc32('3:4:1:2') }), true);
});

test('a checksum that disagrees is said', () => {
  const book = new Book(25);
  assert.equal(book.replace({ bids: [['1', '2']], asks: [], checksum: 1 }), false);
  assert.equal(book.verified, false);
});

test('prices that no float can tell apart are different levels', () => {
  const book = new Book(25);
  book.replace({ bids: [['9007199254740993.00000001', '1'], ['9007199254740993.00000002', '1']], asks: [] });
  assert.deepEqual(book.bids.map(([price]) => price), ['9007199254740993.00000002', '9007199254740993.00000001']);
});

test('random changes leave what a map would hold', () => {
  let state = 1;
  const random = (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % n;
  };
  const book = new Book(25);
  const map = new Map();
  for (let i = 0; i < 5_000; i += 1) {
    const cents = 9_950 + random(120);
    const price = String(cents / 100);
    const size = String(random(4));
    book.apply({ bids: [], asks: [[price, size]] });
    if (size === '0') map.delete(cents);
    else map.set(cents, size);
  }
  const expected = [...map].sort((a, b) => a[0] - b[0]).map(([cents, size]) => `${cents / 100}x${size}`);
  assert.deepEqual(levels(book.asks), expected);
});

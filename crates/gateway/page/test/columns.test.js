import assert from 'node:assert/strict';
import test from 'node:test';
import { arrange } from '../columns.js';

const NAMES = { time: { short: 7, pixels: 14 }, side: {}, price: { pixels: 4 }, size: { pixels: 10 } };
const NEED = { time: 11, side: 2, price: 8, size: 9 };
const at = (width, need = NEED) => arrange(NAMES, need, ['time'], width, 8);

test('columns share what room there is', () => {
  const { shown, short, scale } = at(28 + 30 * 8 * 1.5);
  assert.deepEqual([shown, short], [['time', 'side', 'price', 'size'], []]);
  assert.ok(Math.abs(scale - 1.5) < 1e-9);
});

test('text becomes a little smaller before a column is written short, and that before it goes', () => {
  const kinds = new Set();
  for (let width = 400; width >= 150; width -= 1) {
    const { shown, short, scale } = at(width);
    const kind = shown.includes('time') ? (short.includes('time') ? 'short' : scale >= 1 ? 'whole' : 'smaller') : 'without';
    kinds.add(kind);
    if (kind !== 'without') assert.ok(scale >= 0.85, `${kind} with text of ${scale} at ${width}`);
    else assert.ok((width - 28) / (26 * 8) < 0.85, `no time though it has room at ${width}`);
  }
  assert.deepEqual([...kinds], ['whole', 'smaller', 'short', 'without']);
});

test('columns that may not be left out stay, however narrow it is', () => {
  assert.deepEqual(at(1).shown, ['side', 'price', 'size']);
  assert.ok(at(1).scale > 0);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { brief, compare, fromUnits, isZero, places, show, toUnits } from '../decimal.js';
import { percent } from '../watch.js';

test('decimals are ordered by value, not by text', () => {
  const rising = ['-10.5', '-10', '-9', '-0.5', '0', '0.00001', '0.1', '0.15', '0.2', '2', '10', '10.01', '100'];
  for (let i = 0; i < rising.length; i += 1) {
    for (let j = 0; j < rising.length; j += 1) {
      assert.equal(Math.sign(compare(rising[i], rising[j])), Math.sign(i - j), `${rising[i]} and ${rising[j]}`);
    }
  }
});

test('zero is zero however it is spelled', () => {
  for (const text of ['0', '0.0', '-0', '0.000']) assert.equal(isZero(text), true);
  for (const text of ['0.001', '10', '-0.5']) assert.equal(isZero(text), false);
});

test('units and back lose nothing', () => {
  for (const text of ['0.00000001', '12.50000000', '-3.00000000', '123456789012345678.90000000']) {
    assert.equal(fromUnits(toUnits(text, 8), 8), text);
  }
  assert.equal(toUnits('1.239', 2), 123n);
  assert.equal(fromUnits(7n, 0), '7');
});

test('numbers are shown in columns', () => {
  assert.equal(show('61837.6', 2), '61,837.60');
  assert.equal(show('-0.5', 0), '−0.5');
  assert.equal(show('1234567'), '1,234,567');
  assert.equal(places('0.105'), 3);
});

test('sizes are cut to their column and never shown as nothing', () => {
  assert.equal(brief('0.02244516'), '0.0224451');
  assert.equal(brief('0.0000000001'), '<0.0000001');
  assert.equal(brief('5.5', 4), '5.5000');
  assert.equal(brief('12345678.9'), '12.34M');
  assert.equal(brief('9876543210'), '9.87B');
  assert.equal(brief('123456.789012', 6), '123,456.78');
  assert.equal(brief('65732.06233'), '65,732.062');
  assert.equal(brief('123456'), '123,456');
  assert.equal(brief('999.5'), '999.5');
  assert.equal(brief('1234567890123456.7'), '1,234.56T');
});

test('a change has a sign unless it shows as zero', () => {
  assert.deepEqual(percent('-0.3934'), ['−0.39%', 'down']);
  assert.deepEqual(percent('1.5'), ['+1.50%', 'up']);
  assert.deepEqual(percent('-0.001'), ['0.00%', '']);
  assert.deepEqual(percent(undefined), ['–', '']);
});

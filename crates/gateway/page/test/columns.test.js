// What a text's width is, in digits: the layout of columns needs no document for that.

import assert from 'node:assert/strict';
import test from 'node:test';
import { length } from '../columns.js';

test('points are narrower than digits, and letters wider', () => {
  assert.equal(length('63352'), 5);
  assert.ok(length('63,352.49') < 9 && length('63,352.49') > 8);
  assert.ok(length('12.34M') > 5);
  assert.equal(length(''), 0);
});

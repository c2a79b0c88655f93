import assert from 'node:assert/strict';
import test from 'node:test';
import { behind, trouble } from '../watch.js';

const channel = (feed, since = '1795237282974344959') => ({ feed, since });

test('channels that are behind are named with since when', () => {
  const channels = { trade: channel('live'), book: channel('stale'), quote: channel('down'), ticker: channel('pending') };
  const said = behind({ feed: 'down', channels });
  assert.match(said, /^book stale since \d\d:\d\d:\d\d, quote down since \d\d:\d\d:\d\d$/);
  assert.equal(behind({ feed: 'live', channels: { trade: channel('pending') } }), '');
  assert.equal(behind({ feed: 'stale' }), '', 'a gateway that does not tell channels');
});

test('a symbol for which nothing has come yet is pending', () => {
  assert.equal(trouble({ feed: 'pending', trading: 'unknown' }), 'pending');
  assert.equal(trouble({ feed: 'live', trading: 'pre_open' }), 'pre open');
});

// One order book as a client holds it: the levels of a `book.N` topic, both sides best first, and
// the checksum that says whether they are the gateway's.
//
// A book is only as good as its last check: `apply` and `replace` answer false when the levels and
// the frame's checksum disagree, and the caller then asks for a new snapshot. Decimals stay text.

import { compare, isZero } from './decimal.js';

const CHECKED_LEVELS = 10;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

/** CRC-32 (IEEE) of ASCII text. */
export function crc32(text) {
  let c = 0xffffffff;
  for (let i = 0; i < text.length; i += 1) {
    c = CRC_TABLE[(c ^ text.charCodeAt(i)) & 0xff] ^ (c >>> 8);
  }
  return (c ^ 0xffffffff) >>> 0;
}

export class Book {
  /** @param depth the N of `book.N` */
  constructor(depth) {
    this.depth = depth;
    /** [price, size] pairs, highest price first. */
    this.bids = [];
    /** [price, size] pairs, lowest price first. */
    this.asks = [];
    /** Whether the last frame's checksum agreed; null before the first one that had a checksum. */
    this.verified = null;
    /** Whether a snapshot has come: without one, empty sides say nothing. */
    this.loaded = false;
  }

  /** Forgets every level. */
  clear() {
    this.bids = [];
    this.asks = [];
    this.verified = null;
    this.loaded = false;
  }

  /** Takes a snapshot; false if its checksum disagrees. */
  replace(frame) {
    this.clear();
    this.loaded = true;
    return this.apply(frame);
  }

  /** Takes an update; false if the checksum disagrees afterwards. */
  apply(frame) {
    for (const level of frame.bids) change(this.bids, level, -1);
    for (const level of frame.asks) change(this.asks, level, 1);
    if (frame.checksum === undefined) return true;
    this.verified = this.checksum() === frame.checksum;
    return this.verified;
  }

  /** The checksum of the best levels: asks rising, then bids falling. */
  checksum() {
    const levels = Math.min(CHECKED_LEVELS, this.depth);
    const parts = [];
    for (const side of [this.asks, this.bids]) {
      for (const [price, size] of side.slice(0, levels)) parts.push(price, size);
    }
    return crc32(parts.join(':'));
  }
}

/** Sets or removes one level of a side; `direction` is 1 where prices rise from the best. */
function change(side, level, direction) {
  const [price, size] = level;
  let low = 0;
  let high = side.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(side[middle][0], price) * direction < 0) low = middle + 1;
    else high = middle;
  }
  const found = low < side.length && compare(side[low][0], price) === 0;
  if (isZero(size)) {
    if (found) side.splice(low, 1);
  } else if (found) {
    side[low] = level;
  } else {
    side.splice(low, 0, level);
  }
}

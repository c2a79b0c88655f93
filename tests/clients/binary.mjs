// The binary encoding as docs/PROTOCOL.md lays it out, read with DataView and nothing else.
//
// `Reader` gives of each record the object that JSON.parse would give of the same frame in JSON, so that the two
// can be compared. Numbers of 64 bits are read as BigInt and made what JSON has: a number below 2^53 for positions,
// a string for times and decimals.

const KINDS = { 1: 'trade', 2: 'quote', 3: 'book', 5: 'ticker', 6: 'status', 7: 'instrument' };
const FLAG = { snapshot: 0x01, wide: 0x20, tsEvent: 0x40, venueSeq: 0x80 };
const HEADER = 32;
const PRINT = 48;
const LEVEL = 16;
const CHANNEL = 16;
const NO_PRICE = -(2n ** 63n);
const SIDES = [undefined, 'buy', 'sell'];
const FEEDS = ['live', 'stale', 'gap', 'down', 'pending'];
const TRADINGS = ['unknown', 'open', 'halted', 'cancel_only', 'post_only', 'pre_open', 'auction', 'limit_only',
  'reduce_only', 'settlement', 'closed', 'delisted'];
const INSTRUMENT_KINDS = [undefined, 'spot', 'perpetual', 'future', 'option', 'equity'];
const UNITS = [undefined, 'base', 'quote', 'contract'];
const STEPS = ['tick', 'lot', 'min_qty', 'contract_size'];
const FIGURES = ['last', 'open', 'high', 'low', 'change', 'change_pct', 'volume', 'quote_volume'];

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A scaled integer as decimals are spelled: no exponent, no zeros at the end. */
export function decimal(mantissa, scale) {
  const digits = (mantissa < 0n ? -mantissa : mantissa).toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).replace(/0+$/, '');
  return (mantissa < 0n ? '-' : '') + whole + (fraction && `.${fraction}`);
}

const filled = (length) => Math.ceil(length / 8) * 8;

/** What acknowledgements say of topics, and records read with it. */
export class Reader {
  #topics = new Map();

  /** Takes a control message. */
  learn(message) {
    if (message.op === 'subscribed') {
      for (const { tid, topic, epoch, price_scale, qty_scale } of message.topics) {
        this.#topics.set(tid, { topic, epoch: BigInt(epoch), price_scale, qty_scale });
      }
    }
  }

  /** The frames in a binary message. */
  read(bytes) {
    const frames = [];
    for (let at = 0; at < bytes.byteLength;) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.byteLength - at);
      const length = view.getUint16(0, true) * 8 || view.byteLength;
      if (length > view.byteLength) throw new RangeError(`a record of ${length} bytes, ${view.byteLength} are left`);
      const frame = this.#record(new DataView(view.buffer, view.byteOffset, length));
      if (frame) frames.push(frame);
      at += length;
    }
    return frames;
  }

  #record(view) {
    const kind = KINDS[view.getUint8(2)];
    if (!kind) return null;
    const flags = view.getUint8(3);
    const has = (flag) => (flags & flag) !== 0;
    const tid = view.getUint32(4, true);
    const topic = this.#topics.get(tid);
    if (!topic) throw new Error(`topic number ${tid} was never acknowledged`);
    const u64 = (at) => view.getBigUint64(at, true);
    const seq = u64(8);
    const recv = u64(16);
    let end = view.byteLength;
    let out = recv + BigInt(view.getUint32(24, true));
    let step = view.getUint32(28, true);
    let prev = seq - BigInt(step);
    let epoch = null;
    if (has(FLAG.wide)) {
      end -= 16;
      out = u64(end);
      prev = epoch = u64(end + 8);
    }
    if (has(FLAG.snapshot)) topic.epoch = epoch ?? atLeast(topic.epoch, step);
    const body = bodies[kind]({ view, end, topic, has, u64 });
    const frame = {
      topic: topic.topic,
      type: has(FLAG.snapshot) ? 'snapshot' : 'update',
      epoch: Number(topic.epoch),
      seq: Number(seq),
    };
    if (!has(FLAG.snapshot)) frame.prev = Number(prev);
    if (has(FLAG.tsEvent)) frame.ts_event = body.ts_event.toString();
    if (recv !== 0n) frame.ts_recv = recv.toString();
    frame.ts_out = out.toString();
    Object.assign(frame, body.fields);
    if (has(FLAG.venueSeq)) frame.venue_seq = body.venue_seq.toString();
    return frame;
  }
}

/** The smallest number that is not below `known` and has these low 32 bits. */
function atLeast(known, low) {
  const epoch = ((known >> 32n) << 32n) | BigInt(low);
  return epoch < known ? epoch + (1n << 32n) : epoch;
}

const bodies = {
  quote({ view, topic, u64 }) {
    const fields = {};
    for (const [side, at] of [['bid', 32], ['ask', 48]]) {
      const price = view.getBigInt64(at, true);
      if (price === NO_PRICE) continue;
      fields[side] = decimal(price, topic.price_scale);
      fields[`${side}_qty`] = decimal(view.getBigInt64(at + 8, true), topic.qty_scale);
    }
    return { fields, ts_event: u64(64), venue_seq: u64(72) };
  },

  trade({ view, end, topic, has, u64 }) {
    const count = Number(u64(32));
    let long = 40 + count * PRINT;
    const trades = [];
    for (let at = 40; at < 40 + count * PRINT; at += PRINT) {
      let id;
      const length = view.getUint8(at + 26);
      const text = (from) => utf8.decode(new Uint8Array(view.buffer, view.byteOffset + from, length));
      switch (view.getUint8(at + 25)) {
        case 1: id = u64(at + 32).toString(); break;
        case 2: id = uuid(view, at + 32); break;
        case 3: id = text(at + 32); break;
        case 4: id = text(long); long += filled(length); break;
        default: throw new Error(`unknown kind of id ${view.getUint8(at + 25)}`);
      }
      const trade = {
        id,
        price: decimal(view.getBigInt64(at, true), topic.price_scale),
        qty: decimal(view.getBigInt64(at + 8, true), topic.qty_scale),
      };
      const side = SIDES[view.getUint8(at + 24)];
      if (side) trade.side = side;
      if (view.getUint8(at + 27) & 1) trade.ts_event = u64(at + 16).toString();
      trades.push(trade);
    }
    // Behind the prints and the long ids, where given.
    const stamp = { fields: { trades } };
    if (has(FLAG.tsEvent)) {
      stamp.ts_event = u64(long);
      long += 8;
    }
    if (has(FLAG.venueSeq)) {
      stamp.venue_seq = u64(long);
      long += 8;
    }
    if (long !== end) throw new Error(`the record ends at ${end}, its parts at ${long}`);
    return stamp;
  },

  book({ view, end, topic, u64 }) {
    const bidsEnd = 56 + view.getUint32(52, true) * LEVEL;
    const levels = (from, to) => {
      const side = [];
      for (let at = from; at < to; at += LEVEL) {
        const price = decimal(view.getBigInt64(at, true), topic.price_scale);
        side.push([price, decimal(view.getBigInt64(at + 8, true), topic.qty_scale)]);
      }
      return side;
    };
    const fields = { bids: levels(56, bidsEnd), asks: levels(bidsEnd, end), checksum: view.getUint32(48, true) };
    return { fields, ts_event: u64(32), venue_seq: u64(40) };
  },

  ticker({ view, u64 }) {
    const fields = {};
    FIGURES.forEach((name, index) => {
      if (!(view.getUint8(48) & (1 << index))) return;
      const at = 64 + index * 16;
      fields[name] = decimal(i128(view, at), view.getUint8(56 + index));
    });
    return { fields, ts_event: u64(32), venue_seq: u64(40) };
  },

  status({ view, end, u64 }) {
    const fields = { feed: FEEDS[view.getUint8(48)], trading: TRADINGS[view.getUint8(49)] ?? 'unknown' };
    const length = view.getUint32(52, true);
    if (length > 0) fields.reason = utf8.decode(new Uint8Array(view.buffer, view.byteOffset + 56, length));
    for (let at = 56 + filled(length); at < end; at += CHANNEL) {
      const channel = KINDS[view.getUint8(at)];
      const feed = FEEDS[view.getUint8(at + 1)];
      if (!channel || !feed) continue;
      fields.channels ??= {};
      fields.channels[channel] = { feed, since: u64(at + 8).toString() };
    }
    return { fields, ts_event: u64(32), venue_seq: u64(40) };
  },

  instrument({ view, u64 }) {
    const name = new Uint8Array(view.buffer, view.byteOffset + 144, view.getUint32(60, true));
    const fields = {
      native: utf8.decode(name),
      price_scale: view.getUint8(52),
      qty_scale: view.getUint8(53),
      trading: TRADINGS[view.getUint8(48)] ?? 'unknown',
    };
    const kind = INSTRUMENT_KINDS[view.getUint8(49)];
    if (kind) fields.kind = kind;
    const unit = UNITS[view.getUint8(50)];
    if (unit) fields.qty_unit = unit;
    const inverse = [undefined, false, true][view.getUint8(51)];
    if (inverse !== undefined) fields.inverse = inverse;
    const given = (bit) => (view.getUint8(54) & (1 << bit)) !== 0;
    STEPS.forEach((step, index) => {
      if (given(index)) fields[step] = decimal(i128(view, 64 + index * 16), view.getUint8(56 + index));
    });
    ['listed_at', 'expires_at'].forEach((time, index) => {
      if (given(4 + index)) fields[time] = u64(128 + index * 8).toString();
    });
    return { fields, ts_event: u64(32), venue_seq: u64(40) };
  },
};

const i128 = (view, at) => (view.getBigInt64(at + 8, true) << 64n) | view.getBigUint64(at, true);

function uuid(view, at) {
  const bytes = [...new Uint8Array(view.buffer, view.byteOffset + at, 16)];
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

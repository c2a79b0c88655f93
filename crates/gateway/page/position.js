// The client rule of the protocol, complete and without I/O: where a topic stands, and what to do
// with the next frame. Everything that arrives is judged here before anybody else sees it.
//
//   A snapshot is always applied. An update is ignored if `seq <= last`. On `trade` and `book` it
//   applies if `prev == last`, else something was lost: resync. On all other channels it applies
//   whenever `seq > last`. A `gap` sets `last` to its `to`; behind it a book begins with a snapshot.

export const APPLY = 'apply';
export const IGNORE = 'ignore';
export const RESYNC = 'resync';

export class Position {
  /** @param topic the topic's text; its channel decides whether updates form a chain */
  constructor(topic) {
    this.chained = /^(trade|book\.)/.test(topic);
    this.changes = topic.startsWith('book.');
    this.outdated = false;
    this.epoch = null;
    this.last = null;
    this.parts = null;
  }

  /** Forgets where the topic stood, as after a lost connection. */
  reset() {
    this.epoch = null;
    this.last = null;
    this.parts = null;
    this.outdated = false;
  }

  /**
   * Judges a data frame: `[verdict, frame]`. The frame handed back is the whole snapshot where it
   * came in parts; a part that is not the last is IGNOREd for now.
   */
  judge(frame) {
    return frame.type === 'snapshot' ? this.#snapshot(frame) : [this.#update(frame), frame];
  }

  /** A gap was announced: what it names is lost, and the next frame follows it. A state is not current. */
  gap(notice) {
    this.epoch = notice.epoch;
    this.last = notice.to;
    this.outdated = true;
  }

  /** Whether a heartbeat's `[topic, epoch, seq]` tells of a frame that never came. */
  missed(epoch, seq) {
    if (this.last === null) return seq > 0;
    return epoch > this.epoch || (epoch === this.epoch && seq > this.last);
  }

  #snapshot(frame) {
    let whole = frame;
    if (frame.part) {
      const [number, of] = frame.part;
      if (number === 1) this.parts = { next: 1, seq: frame.seq, frame: { ...frame, bids: [], asks: [] } };
      const parts = this.parts;
      if (!parts || parts.next !== number || parts.seq !== frame.seq) {
        this.reset();
        return [RESYNC, frame];
      }
      parts.next += 1;
      parts.frame.bids.push(...frame.bids);
      parts.frame.asks.push(...frame.asks);
      if (frame.checksum !== undefined) parts.frame.checksum = frame.checksum;
      if (number < of) return [IGNORE, frame];
      whole = parts.frame;
    }
    this.parts = null;
    this.outdated = false;
    this.epoch = frame.epoch;
    this.last = frame.seq;
    return [APPLY, whole];
  }

  #update(frame) {
    if (this.last === null) {
      // Nothing to build on: a value of its own will do, a link of a chain will not.
      if (this.chained) return RESYNC;
    } else if (frame.epoch !== this.epoch) {
      if (frame.epoch < this.epoch) return IGNORE;
      if (this.chained) return RESYNC;
    } else if (frame.seq <= this.last) {
      return IGNORE;
    } else if (this.chained && frame.prev !== this.last) {
      return RESYNC;
    }
    if (this.changes && this.outdated) return RESYNC;
    this.outdated = false;
    this.epoch = frame.epoch;
    this.last = frame.seq;
    return APPLY;
  }
}

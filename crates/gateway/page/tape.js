// The trade tape: the newest prints on top, buys and sells told apart by colour and by a sign, and
// announced losses as a line of their own. Lines are made once and move from the end to the top.

import { Columns, length } from './columns.js';
import { brief, places, show } from './decimal.js';
import { Cell, make } from './view.js';

const LINES = 60;

export class Tape {
  #lines = [];
  #pending = [];
  #digits = { price: 0, size: 0 };

  constructor(list, panel, frames) {
    this.list = list;
    this.frames = frames;
    this.printed = 0;
    this.columns = new Columns(panel, {
      time: { least: length(clock('0000000')), short: length(seconds(clock('0000000'))), pixels: 14 },
      side: { least: 1.6 },
      price: { least: 6, pixels: 4 },
      size: { least: 6, pixels: 10 },
    }, ['time'], frames);
  }

  /** Starts an empty tape. */
  clear() {
    this.#pending = [];
    this.#digits = { price: 0, size: 0 };
    for (const line of this.#lines) line.element.hidden = true;
    this.columns.forget();
  }

  /** A consumer for a trade topic. */
  consumer() {
    return {
      snapshot: (frame) => {
        this.clear();
        this.#print(frame.trades);
      },
      update: (frame) => this.#print(frame.trades),
      gap: (notice) => this.#add({ lost: notice.to - notice.from + 1, reason: notice.reason }),
    };
  }

  #print(trades) {
    for (const trade of trades) this.#add(trade);
  }

  #add(item) {
    this.#pending.push(item);
    // What no frame will ever show, while the page is hidden, is not kept either.
    if (this.#pending.length > 2 * LINES) this.#pending.splice(0, this.#pending.length - LINES);
    this.frames.mark(this);
  }

  render() {
    const due = this.#pending.slice(-LINES);
    this.#pending = [];
    for (const item of due) {
      this.printed += 1;
      const line = this.#lines.length < LINES ? this.#line() : this.#lines.shift();
      this.#lines.push(line);
      line.element.hidden = false;
      if (item.lost) this.#drawLoss(line, item);
      else this.#drawTrade(line, item);
      this.list.prepend(line.element);
    }
  }

  #line() {
    const element = make('li');
    element.dataset.testid = 'trade';
    const cells = {};
    for (const name of ['time', 'side', 'price', 'size']) {
      cells[name] = new Cell(make('span', name));
      element.append(cells[name].element);
    }
    return { element, ...cells };
  }

  #drawTrade(line, trade) {
    const digits = this.#digits;
    digits.price = Math.max(digits.price, places(trade.price));
    digits.size = Math.max(digits.size, places(trade.qty));
    line.element.className = trade.side ?? 'unknown';
    const time = clock(trade.ts_event);
    this.columns.set(line.time, 'time', time, seconds(time));
    line.side.set({ buy: '▲', sell: '▼' }[trade.side] ?? '·');
    line.side.element.setAttribute('aria-label', trade.side ?? 'side unknown');
    this.columns.set(line.price, 'price', show(trade.price, digits.price));
    this.columns.set(line.size, 'size', brief(trade.qty, digits.size));
  }

  #drawLoss(line, loss) {
    line.element.className = 'loss';
    for (const cell of [line.time, line.price, line.size]) {
      this.columns.drop(cell);
      cell.shrink(1, false);
    }
    line.time.set('gap');
    line.side.set('');
    line.price.set(`${loss.lost} lost`);
    line.size.set((loss.reason ?? '').replaceAll('_', ' '));
  }
}

/** A time of day without its fraction. */
function seconds(time) {
  return time.split('.', 1)[0];
}

/** The time of day, local, to the millisecond, of nanoseconds since the epoch. */
function clock(nanos) {
  if (nanos === undefined) return '–';
  const at = new Date(Number(nanos.slice(0, -6)));
  const two = (n) => String(n).padStart(2, '0');
  const ms = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}

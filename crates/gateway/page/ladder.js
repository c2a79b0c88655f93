// The order book ladder: asks above, bids below, the spread between them, sizes as depth bars.
// Rows are made once and reused; as many are shown as the panel has room for.

import { Columns } from './columns.js';
import { brief, compare, fromUnits, places, show, toUnits } from './decimal.js';
import { Cell, make } from './view.js';

const ROWS_MAX = 25;

export class Ladder {
  #sides;
  #rows = 0;
  #digits = { price: 0, size: 0 };

  /** @param parts `{table, asks, bids, spread, note}` elements */
  constructor(parts, frames) {
    this.frames = frames;
    this.book = null;
    this.scale = 8;
    this.spread = new Cell(parts.spread);
    this.note = new Cell(parts.note);
    this.mid = null;
    this.columns = new Columns(parts.table, {
      price: { least: 6, pixels: 10 }, size: { least: 6, pixels: 10 }, total: { least: 6, pixels: 10 },
    }, ['total'], frames);
    this.#sides = { asks: new Rows(parts.asks, 'ask', this.columns), bids: new Rows(parts.bids, 'bid', this.columns) };
    const fit = new ResizeObserver(() => this.#fit(parts));
    fit.observe(parts.asks);
    fit.observe(parts.bids);
  }

  /** Shows another book; `scale` is its quantities' scale. */
  show(book, scale) {
    this.book = book;
    this.scale = scale;
    this.#digits = { price: 0, size: 0 };
    this.columns.forget();
    this.frames.mark(this);
  }

  /** Whether something is said against what is shown. */
  get doubted() {
    return !this.note.element.hidden;
  }

  /** Says over the ladder why it cannot be trusted, or nothing. */
  warn(text) {
    this.note.set(text);
    this.note.element.hidden = text === '';
  }

  #fit(parts) {
    const height = this.#sides.asks.rowHeight();
    const room = Math.min(parts.asks.clientHeight, parts.bids.clientHeight);
    const rows = Math.max(1, Math.min(ROWS_MAX, Math.floor(room / height)));
    if (rows === this.#rows) return;
    this.#rows = rows;
    this.frames.mark(this);
  }

  render() {
    const { book } = this;
    if (!book) return;
    for (const [price, size] of [...book.asks.slice(0, this.#rows), ...book.bids.slice(0, this.#rows)]) {
      this.#digits.price = Math.max(this.#digits.price, places(price));
      this.#digits.size = Math.max(this.#digits.size, places(size));
    }
    const asks = this.#total(book.asks);
    const bids = this.#total(book.bids);
    const most = [...asks.slice(-1), ...bids.slice(-1)].reduce((a, b) => (b.total > a ? b.total : a), 1n);
    this.#sides.asks.draw(asks, most, this.#rows, this.#digits, this.scale);
    this.#sides.bids.draw(bids, most, this.#rows, this.#digits, this.scale);
    this.spread.set(this.#spread(book));
  }

  /** The shown levels with the sizes summed from the best one outwards, exactly. */
  #total(levels) {
    let total = 0n;
    return levels.slice(0, this.#rows).map(([price, size]) => {
      total += toUnits(size, this.scale);
      return { price, size, total };
    });
  }

  #spread({ asks, bids, loaded }) {
    if (!loaded) return '–';
    if (asks.length === 0 && bids.length === 0) return 'both sides are empty';
    if (asks.length === 0 || bids.length === 0) return 'one side is empty';
    const [ask, bid] = [asks[0][0], bids[0][0]];
    const digits = Math.max(places(ask), places(bid));
    const [high, low] = [toUnits(ask, digits), toUnits(bid, digits)];
    const spread = show(fromUnits(high - low, digits), 0);
    // Basis points of the mid, three digits, in whole numbers.
    const points = high + low > 0n ? ((high - low) * 20_000_000n) / (high + low) : 0n;
    const crossed = compare(bid, ask) >= 0 ? ' · crossed' : '';
    return `${spread} · ${fromUnits(points, 3)} bp${crossed}`;
  }
}

/** One side's rows, best first; the style sheet turns the asks upside down. */
class Rows {
  constructor(container, side, columns) {
    this.container = container;
    this.columns = columns;
    this.rows = [];
    for (let i = 0; i < ROWS_MAX; i += 1) this.rows.push(this.#row(side));
    container.append(...this.rows.map((row) => row.element));
  }

  #row(side) {
    const element = make('div', `level ${side}`);
    element.setAttribute('role', 'row');
    element.dataset.testid = `level-${side}`;
    element.hidden = true;
    const bar = make('span', 'bar');
    bar.setAttribute('aria-hidden', 'true');
    const cells = {};
    for (const name of ['price', 'size', 'total']) {
      const cell = make('span', name);
      cell.setAttribute('role', 'cell');
      cells[name] = new Cell(cell);
    }
    element.append(bar, cells.price.element, cells.size.element, cells.total.element);
    return { element, bar, width: '', shown: false, ...cells };
  }

  rowHeight() {
    const style = getComputedStyle(this.container);
    return Number.parseFloat(style.getPropertyValue('--row')) || 20;
  }

  draw(levels, most, count, digits, scale) {
    this.rows.forEach((row, i) => {
      const level = i < count ? levels[i] : undefined;
      if (row.shown !== (level !== undefined)) {
        row.shown = level !== undefined;
        row.element.hidden = !row.shown;
      }
      if (!level) return;
      this.columns.set(row.price, 'price', show(level.price, digits.price));
      this.columns.set(row.size, 'size', brief(level.size, digits.size));
      const total = brief(trim(fromUnits(level.total, scale), digits.size), digits.size);
      this.columns.set(row.total, 'total', total);
      const width = `scaleX(${Number((level.total * 1_000n) / most) / 1_000})`;
      if (width !== row.width) {
        row.width = width;
        row.bar.style.transform = width;
      }
    });
  }
}

/** Without the digits after the point that no size of this book has used. */
function trim(text, digits) {
  const point = text.indexOf('.');
  return point < 0 ? text : text.slice(0, digits === 0 ? point : point + 1 + digits);
}

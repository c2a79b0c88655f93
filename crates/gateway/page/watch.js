// The watch list: every instrument, its last price, change, bid and ask. A row is drawn when its
// numbers changed, and not more than once per animation frame. Arrow keys move the selection.

import { Columns, length } from './columns.js';
import { compare, places, show } from './decimal.js';
import { Cell, make } from './view.js';

/** One instrument: what is known of it, and its row. */
class Row {
  constructor(instrument, list) {
    this.instrument = instrument;
    this.key = `${instrument.venue}:${instrument.symbol}`;
    this.list = list;
    this.last = null;
    this.ticker = null;
    this.quote = null;
    this.status = null;
    this.digits = 0;
    this.direction = '';
    /** The trade tape shows this row's trades: they know the last price sooner than statistics do. */
    this.taped = false;
    /** The gateway lists it no longer. */
    this.gone = false;
    this.#build();
  }

  #build() {
    const { venue, symbol } = this.instrument;
    this.element = make('tr');
    this.element.setAttribute('role', 'row');
    this.element.setAttribute('aria-selected', 'false');
    this.element.tabIndex = -1;
    this.element.dataset.testid = 'watch-row';
    this.element.dataset.key = this.key;
    const name = make('th', 'name');
    name.scope = 'row';
    name.append(make('span', 'symbol', symbol), make('span', 'venue', venue));
    this.feed = new Cell(make('span', 'feed'));
    name.append(this.feed.element);
    this.element.append(name);
    this.cells = {};
    for (const column of ['last', 'change', 'bid', 'ask']) {
      const cell = make('td', column, '–');
      cell.dataset.testid = `watch-${column}`;
      this.element.append(cell);
      this.cells[column] = new Cell(cell);
    }
  }

  /** Consumers for the topics that feed the row. */
  consumer(channel) {
    const take = (frame) => this[`take_${channel}`](frame);
    const gap = () => this.#forget(channel);
    const acknowledged = (answer) => {
      this.#age(false);
      if (answer.start === 'none') this.#forget(channel);
    };
    return { snapshot: take, update: take, gap, lost: () => this.#age(true), acknowledged };
  }

  /** What was known of a channel is not current until its next frame: it is not shown. */
  #forget(channel) {
    if (channel === 'quote') this.quote = null;
    else if (channel === 'ticker') this.ticker = null;
    else return;
    this.#changed();
  }

  take_quote(frame) {
    this.quote = frame;
    this.#learn(frame.bid, frame.ask);
    this.#changed();
  }

  take_ticker(frame) {
    this.ticker = frame;
    if (frame.last !== undefined && !this.taped) this.#print(frame.last);
    this.#changed();
  }

  take_trade(frame) {
    const print = frame.trades[frame.trades.length - 1];
    if (print) this.#print(print.price);
    this.#changed();
  }

  take_status(frame) {
    this.status = frame;
    this.#changed();
  }

  #print(price) {
    if (this.last !== null && price !== this.last) {
      this.direction = compare(price, this.last) > 0 ? 'up' : 'down';
    }
    this.last = price;
    this.#learn(price);
  }

  /** Prices of a column line up at the most digits seen, never beyond the instrument's scale. */
  #learn(...prices) {
    for (const price of prices) {
      if (price !== undefined) this.digits = Math.max(this.digits, places(price));
    }
  }

  #age(old) {
    this.element.classList.toggle('old', old);
  }

  #changed() {
    this.list.frames.mark(this);
  }

  render() {
    const { quote, ticker, status, cells, list: { columns } } = this;
    if (this.last !== null && columns.set(cells.last, 'last', show(this.last, this.digits)) && this.direction) {
      cells.last.className(`last ${this.direction}`);
      if (this.list.visible(this)) cells.last.flash(this.direction);
    }
    const [text, direction] = ticker?.change_pct === undefined ? ['–', ''] : percent(ticker.change_pct);
    columns.set(cells.change, 'change', text);
    cells.change.className(`change ${direction}`);
    for (const side of ['bid', 'ask']) columns.set(cells[side], side, quote?.[side] === undefined ? '–' : show(quote[side], this.digits));
    const wrong = this.gone ? 'gone' : status ? trouble(status) : '';
    this.feed.set(wrong);
    this.list.onrender(this);
  }
}

export class Watch {
  #rows = new Map();
  #shown = [];
  #selected = null;
  #onscreen = new Set();

  /**
   * @param body the table's body
   * @param frames where rows are marked for drawing
   * @param events `{select(row), render(row), filter(rows)}`
   */
  constructor(body, frames, events) {
    this.body = body;
    this.frames = frames;
    this.columns = new Columns(body.closest('table'), {
      name: { least: 10, most: 18, pixels: 20 },
      last: { least: 6, most: 12, pixels: 16 },
      change: { least: 6, most: 8, pixels: 16 },
      bid: { least: 6, most: 12, pixels: 16 },
      ask: { least: 6, most: 12, pixels: 20 },
    }, ['bid', 'ask', 'change'], frames);
    this.onselect = events.select;
    this.onrender = events.render;
    this.onfilter = events.filter;
    this.eye = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) this.#onscreen.add(entry.target);
        else this.#onscreen.delete(entry.target);
      }
    });
    body.addEventListener('click', (event) => this.#clicked(event));
    body.addEventListener('keydown', (event) => this.key(event));
  }

  get selected() {
    return this.#selected;
  }

  /** Every row, shown or not. */
  get all() {
    return [...this.#rows.values()];
  }

  /** The rows that the filter lets through. */
  get rows() {
    return this.#shown;
  }

  visible(row) {
    return this.#onscreen.has(row.element);
  }

  /** Adds instruments; those that are known stay as they are. Answers how many are new. */
  add(instruments) {
    const fresh = document.createDocumentFragment();
    for (const instrument of instruments) {
      const known = this.#rows.get(`${instrument.venue}:${instrument.symbol}`);
      if (known) {
        this.#mark(known, false);
        continue;
      }
      const row = new Row(instrument, this);
      this.#rows.set(row.key, row);
      this.columns.want('name', 1.25 * length(instrument.symbol) / 1.6 + 3);
      this.eye.observe(row.element);
      fresh.append(row.element);
    }
    const count = fresh.childElementCount;
    this.body.append(fresh);
    return count;
  }

  /** Takes away the rows that are listed no longer; the selected one stays and says so. */
  keep(keys) {
    for (const row of this.all) {
      if (keys.has(row.key)) continue;
      if (row === this.#selected) {
        this.#mark(row, true);
        continue;
      }
      this.#rows.delete(row.key);
      this.#onscreen.delete(row.element);
      this.eye.unobserve(row.element);
      for (const cell of Object.values(row.cells)) this.columns.drop(cell);
      row.element.remove();
    }
  }

  #mark(row, gone) {
    if (row.gone === gone) return;
    row.gone = gone;
    this.frames.mark(row);
  }

  find(key) {
    return this.#rows.get(key);
  }

  /** Shows the rows that contain every word. */
  filter(text) {
    const words = text.toUpperCase().split(/\s+/).filter(Boolean);
    this.#shown = [];
    for (const row of this.#rows.values()) {
      const name = `${row.key} ${row.instrument.native ?? ''}`.toUpperCase();
      const fits = words.every((word) => name.includes(word));
      row.element.hidden = !fits;
      if (fits) this.#shown.push(row);
    }
    this.#tabStop();
    this.onfilter(this.#shown);
  }

  select(row, focus = false) {
    if (!row) return;
    if (row !== this.#selected) {
      this.#selected?.element.setAttribute('aria-selected', 'false');
      row.element.setAttribute('aria-selected', 'true');
      this.#selected = row;
      this.onselect(row);
    }
    this.#tabStop();
    if (focus) row.element.focus({ preventScroll: true });
    row.element.scrollIntoView({ block: 'nearest' });
  }

  /** Moves the selection by keyboard; answers whether the key was one of its own. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const at = this.#shown.indexOf(this.#selected);
    const page = Math.max(1, this.#onscreen.size - 1);
    const to = {
      ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1,
      PageDown: at + page, PageUp: at - page, Home: 0, End: Infinity,
    }[event.key];
    if (to === undefined || this.#shown.length === 0) return false;
    event.preventDefault();
    this.select(this.#shown[Math.max(0, Math.min(this.#shown.length - 1, to))], true);
    return true;
  }

  #clicked(event) {
    const key = event.target.closest('tr')?.dataset.key;
    if (key) this.select(this.#rows.get(key), true);
  }

  /** One row takes part in tabbing: the selected one if it is shown, else the first. */
  #tabStop() {
    const stop = this.#shown.includes(this.#selected) ? this.#selected : this.#shown[0];
    if (this.stop && this.stop !== stop) this.stop.element.tabIndex = -1;
    this.stop = stop;
    if (stop) stop.element.tabIndex = 0;
  }
}

/** The word for what keeps an instrument from being simply live; empty if nothing does. */
export function trouble(status) {
  if (status.feed !== 'live') return status.feed;
  // A crossed book is live: its venue sends it so, and the gateway holds it back.
  if (/^crossed/.test(status.reason ?? '')) return 'crossed';
  const trading = status.trading ?? 'open';
  return trading === 'open' || trading === 'unknown' ? '' : trading.replaceAll('_', ' ');
}

/** The channels that are behind, each with how and since when. One that waits for its first event is not. */
export function behind(status) {
  return Object.entries(status.channels ?? {})
    .filter(([, { feed }]) => feed !== 'live' && feed !== 'pending')
    .map(([name, { feed, since }]) => `${name} ${feed} since ${time(since)}`)
    .join(', ');
}

/** Nanoseconds since 1970 as the time of day here. */
function time(nanos) {
  return new Date(Number(BigInt(nanos) / 1_000_000n)).toTimeString().slice(0, 8);
}

/** A change in per cent as `[text, class]`: signed, two digits, and no sign on what shows as zero. */
export function percent(text) {
  if (text === undefined) return ['–', ''];
  const shown = Math.abs(Number(text)).toFixed(2);
  if (Number(shown) === 0) return [`${shown}%`, ''];
  return text.startsWith('-') ? [`−${shown}%`, 'down'] : [`+${shown}%`, 'up'];
}

// Columns of numbers that are never cut: a number that lost a digit is a wrong number.
//
// A panel's columns share its width by the longest text that each has shown. Where they do not fit
// side by side, the text becomes a little smaller. Where that is not enough, columns are written
// shorter or left out, in an order that the view names; then the text becomes smaller still, down to
// a limit; then a cell breaks into lines. What a column asks for has a limit too: one long number
// makes its own cell smaller, not every other column.

/** Digits stand closer than this never: smaller text is not read. */
const SCALE_MIN = 0.7;
/** No column is left out while text of this size, which is as easy to read, lets all of them stay. */
const SCALE_GOOD = 0.85;

export class Columns {
  #width = 0;
  #digit = 7.5;
  #need = {};
  #room = {};
  #short = new Set();
  #cells = new Map();
  #fitting = false;

  /**
   * @param container the element whose width, less `--edge` on each side, the columns share; it carries
   *   `data-without`, the names of the columns left out, `--columns`, a track list, and each column's
   *   width by its name
   * @param names `{name: {least, most, short, pixels}}`: the least and the most digits that a column asks
   *   for, the digits of its short text if it has one, and what it has around them
   * @param leave names of the columns that may be written short and then left out, first come first
   * @param frames where the layout is worked out, before the next frame
   */
  constructor(container, names, leave, frames) {
    this.container = container;
    this.names = names;
    this.leave = leave;
    this.frames = frames;
    this.forget();
    new ResizeObserver(() => this.#resized()).observe(container);
  }

  /** Another instrument: its numbers have other lengths. */
  forget() {
    for (const [name, { least }] of Object.entries(this.names)) this.#need[name] = least;
    this.#mark();
  }

  /**
   * Sets a cell's text, as large as its column has room for; answers whether it changed. `short` is
   * what is written where the column is written short.
   */
  set(cell, name, text, short = text) {
    const known = this.#cells.get(cell);
    if (known?.text === text && known.name === name) return false;
    this.#cells.set(cell, { name, text, short });
    this.want(name, length(text));
    this.#draw(cell, name, text, short);
    return true;
  }

  /** A cell that is shown no longer. */
  drop(cell) {
    this.#cells.delete(cell);
  }

  /** A column has something so many digits wide. */
  want(name, digits) {
    const wanted = Math.min(digits, this.names[name].most ?? Infinity);
    if (wanted <= this.#need[name]) return;
    this.#need[name] = wanted;
    this.#mark();
  }

  render() {
    this.#fitting = false;
    if (this.#width === 0) return;
    const { shown, short, scale } = arrange(this.names, this.#need, this.leave, this.#width, this.#digit);
    this.#short = new Set(short);
    this.container.dataset.without = Object.keys(this.names).filter((name) => !shown.includes(name)).join(' ');
    const tracks = [];
    for (const name of shown) {
      const digits = short.includes(name) ? this.names[name].short : this.#need[name];
      this.#room[name] = digits * scale;
      const pixels = digits * scale * this.#digit + (this.names[name].pixels ?? 0);
      tracks.push(`minmax(0, ${pixels.toFixed(1)}fr)`);
      this.container.style.setProperty(`--${name}`, `${((100 * pixels) / this.#width).toFixed(3)}%`);
    }
    this.container.style.setProperty('--columns', tracks.join(' '));
    for (const [cell, { name, text, short: brief }] of this.#cells) this.#draw(cell, name, text, brief);
  }

  #draw(cell, name, text, short) {
    const written = this.#short.has(name) ? short : text;
    cell.set(written);
    this.#scale(cell, length(written) / this.#room[name]);
  }

  /** Shrinks a cell that has more digits than room, and lets it break where that is not enough. */
  #scale(cell, over) {
    const scale = over > 1 ? Math.max(SCALE_MIN, Math.floor(100 / over) / 100) : 1;
    cell.shrink(scale, over * SCALE_MIN > 1);
  }

  #resized() {
    const style = getComputedStyle(this.container);
    const edge = Number.parseFloat(style.getPropertyValue('--edge')) || 0;
    this.#width = this.container.clientWidth - 2 * edge;
    this.#digit = digitWidth(style);
    this.#mark();
  }

  #mark() {
    if (this.#fitting) return;
    this.#fitting = true;
    this.frames.mark(this);
  }
}

/**
 * Which columns have room, and how: `{shown, short, scale}`, the names of those that are shown, of those
 * that are written short, and the size of the text, 1 as it is; more than 1 is spare room.
 */
export function arrange(names, need, leave, width, digit) {
  const shown = Object.keys(names);
  const short = [];
  const scale = () => {
    const around = shown.reduce((all, name) => all + (names[name].pixels ?? 0), 0);
    const digits = shown.reduce((all, name) => all + (short.includes(name) ? names[name].short : need[name]), 0);
    return Math.max(width - around, 1) / (digits * digit);
  };
  for (const name of leave) {
    if (scale() >= SCALE_GOOD) break;
    if (names[name].short !== undefined) {
      short.push(name);
      if (scale() >= SCALE_GOOD) break;
      short.pop();
    }
    shown.splice(shown.indexOf(name), 1);
  }
  return { shown, short, scale: scale() };
}

/** The width of a text in digits. Points are narrower than digits, letters wider; a little more is right. */
export function length(text) {
  let digits = 0;
  for (const c of text) digits += NARROW.has(c) ? 0.55 : c >= '0' && c <= '9' ? 1 : 1.6;
  return digits;
}

const NARROW = new Set(['.', ',', ':', ' ']);
const PEN = globalThis.document?.createElement('canvas').getContext('2d');

/** A little more than the width of a digit: browsers round. */
function digitWidth(style) {
  PEN.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  return PEN.measureText('0000000000').width / 10 * 1.03;
}

// Columns of numbers that are never cut: a number that lost a digit is a wrong number.
//
// A panel's columns share its width by the longest text that each has shown. Where they do not fit
// side by side, whole columns are left out, in an order that the view names; then the text becomes
// smaller, down to a limit; then a cell breaks into lines. What a column asks for has a limit too:
// one long number makes its own cell smaller, not every other column.

/** Digits stand closer than this never: smaller text is not read. */
const SCALE_MIN = 0.7;

export class Columns {
  #width = 0;
  #digit = 7.5;
  #need = {};
  #room = {};
  #cells = new Map();
  #fitting = false;

  /**
   * @param container the element whose width, less `--edge` on each side, the columns share; it carries
   *   `data-without`, the names of the columns left out, `--columns`, a track list, and each column's
   *   width by its name
   * @param names `{name: {least, most, pixels}}`: the least and the most digits that a column asks for,
   *   and what it has around them
   * @param leave names of the columns that may be left out, first come first
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

  /** Sets a cell's text, as large as its column has room for; answers whether it changed. */
  set(cell, name, text) {
    if (!cell.set(text)) return false;
    const digits = length(text);
    this.#cells.set(cell, { name, digits });
    this.want(name, digits);
    this.#scale(cell, digits / this.#room[name]);
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
    const shown = Object.keys(this.names);
    const pixels = (name) => this.#need[name] * this.#digit + (this.names[name].pixels ?? 0);
    const sum = () => shown.reduce((all, name) => all + pixels(name), 0);
    const without = [];
    for (const name of this.leave) {
      if (sum() <= this.#width) break;
      shown.splice(shown.indexOf(name), 1);
      without.push(name);
    }
    this.container.dataset.without = without.join(' ');
    const room = this.#width / sum();
    this.container.style.setProperty('--columns', shown.map((name) => `minmax(0, ${pixels(name).toFixed(1)}fr)`).join(' '));
    for (const name of shown) {
      this.container.style.setProperty(`--${name}`, `${((100 * pixels(name)) / sum()).toFixed(3)}%`);
      this.#room[name] = (pixels(name) * room - (this.names[name].pixels ?? 0)) / this.#digit;
    }
    for (const [cell, { name, digits }] of this.#cells) this.#scale(cell, digits / this.#room[name]);
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

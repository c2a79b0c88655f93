// What all views share: one animation frame for everything that changed, and cells that touch the
// document only when their text does. Thousands of updates a second become at most one write per
// visible cell and frame.

/** Collects views that need drawing and draws them once in the next animation frame. */
export class Frames {
  #dirty = new Set();
  #asked = false;

  /** @param request `requestAnimationFrame` or a stand-in */
  constructor(request = (run) => requestAnimationFrame(run)) {
    this.request = request;
  }

  /** Has `view.render()` called in the next frame. */
  mark(view) {
    this.#dirty.add(view);
    if (this.#asked) return;
    this.#asked = true;
    this.request(() => {
      this.#asked = false;
      const due = this.#dirty;
      this.#dirty = new Set();
      for (const view_ of due) view_.render();
    });
  }
}

/** Makes an element: `make('td', 'price', 'text')`. */
export function make(tag, className = '', text = '') {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** A cell of changing text. */
export class Cell {
  #text = '';
  #class = '';
  #flashedAt = 0;
  #glow = '';
  #animation = null;
  #scale = 1;
  #broken = false;

  constructor(element) {
    this.element = element;
    this.#class = element.className;
    this.#text = element.textContent;
  }

  set(text) {
    if (text === this.#text) return false;
    this.#text = text;
    this.element.textContent = text;
    return true;
  }

  /** Makes the text smaller than its surroundings; `broken` lets it take more than one line. */
  shrink(scale, broken) {
    if (scale === this.#scale && broken === this.#broken) return;
    this.#scale = scale;
    this.#broken = broken;
    this.element.style.fontSize = scale === 1 ? '' : `${scale}em`;
    this.element.style.whiteSpace = broken ? 'normal' : '';
    this.element.style.overflowWrap = broken ? 'anywhere' : '';
    this.element.style.lineHeight = broken ? '1.1' : '';
  }

  className(name) {
    if (name === this.#class) return;
    this.#class = name;
    this.element.className = name;
  }

  /** A short glow, `up` or `down`; at most four a second of one colour, none where motion is unwelcome. */
  flash(direction) {
    if (STILL.matches) return;
    const now = performance.now();
    if (direction === this.#glow && now - this.#flashedAt < 250) return;
    this.#flashedAt = now;
    this.#glow = direction;
    this.#animation?.cancel();
    const colour = getComputedStyle(document.documentElement).getPropertyValue(`--glow-${direction}`);
    this.#animation = this.element.animate(
      [{ backgroundColor: colour }, { backgroundColor: 'transparent' }],
      { duration: 500, easing: 'ease-out' },
    );
  }
}

const STILL = globalThis.matchMedia?.('(prefers-reduced-motion: reduce)') ?? { matches: true };

/** A count, short: 950, 12.3k, 4.56M. */
export function count(n) {
  if (n < 10_000) return String(Math.round(n));
  if (n < 1_000_000) return `${(n / 1_000).toFixed(1)}k`;
  return `${(n / 1_000_000).toFixed(2)}M`;
}

/** Milliseconds, short. */
export function milliseconds(ms) {
  if (ms === null || ms === undefined) return '–';
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 10_000) return `${Math.round(ms)} ms`;
  return `${(ms / 1_000).toFixed(0)} s`;
}

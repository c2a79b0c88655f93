// Decimals as the protocol spells them: digits, at most one point, no exponent, no trailing zeros
// after the point. They are compared and summed without ever becoming floats.

/** Orders two decimals: negative, zero or positive. */
export function compare(a, b) {
  const negative = a.charCodeAt(0) === 45;
  if (negative !== (b.charCodeAt(0) === 45)) return negative ? -1 : 1;
  return negative ? magnitude(b.slice(1), a.slice(1)) : magnitude(a, b);
}

function magnitude(a, b) {
  const aPoint = a.indexOf('.');
  const bPoint = b.indexOf('.');
  const aWhole = aPoint < 0 ? a.length : aPoint;
  const bWhole = bPoint < 0 ? b.length : bPoint;
  // More digits before the point is larger; with as many, text order is number order, also in the
  // fraction, where a missing digit is a zero and sorts before any other.
  if (aWhole !== bWhole) return aWhole - bWhole;
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Whether it is zero. */
export function isZero(text) {
  for (let i = 0; i < text.length; i += 1) {
    const c = text.charCodeAt(i);
    if (c >= 49 && c <= 57) return false;
  }
  return true;
}

/** Digits after the point. */
export function places(text) {
  const point = text.indexOf('.');
  return point < 0 ? 0 : text.length - point - 1;
}

/** As a whole number of units of 10^-scale; digits beyond the scale are cut off. */
export function toUnits(text, scale) {
  const point = text.indexOf('.');
  if (point < 0) return BigInt(text) * 10n ** BigInt(scale);
  const fraction = text.slice(point + 1, point + 1 + scale).padEnd(scale, '0');
  return BigInt(text.slice(0, point) + fraction);
}

/** Back from units of 10^-scale, with exactly `scale` digits after the point. */
export function fromUnits(units, scale) {
  const negative = units < 0n;
  const digits = (negative ? -units : units).toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  const text = scale === 0 ? whole : `${whole}.${digits.slice(-scale)}`;
  return negative ? `-${text}` : text;
}

/** With at least `digits` after the point, for columns that line up, and commas in the whole part. */
export function show(text, digits = 0) {
  const negative = text.charCodeAt(0) === 45;
  const point = text.indexOf('.');
  const whole = group(text.slice(negative ? 1 : 0, point < 0 ? text.length : point));
  const fraction = (point < 0 ? '' : text.slice(point + 1)).padEnd(digits, '0');
  return (negative ? '−' : '') + (fraction === '' ? whole : `${whole}.${fraction}`);
}

/** Digits with a comma between thousands. */
function group(digits) {
  let whole = digits;
  for (let at = whole.length - 3; at > 0; at -= 3) whole = `${whole.slice(0, at)},${whole.slice(at)}`;
  return whole;
}

/**
 * A size in about `width` characters and a comma, with `digits` after the point if they fit, so that
 * columns line up. Digits that do not fit are cut, never rounded up; what would then be zero says so.
 */
export function brief(text, digits = 0, width = 9) {
  const point = text.indexOf('.');
  const whole = point < 0 ? text.length : point;
  const large = LARGE.find(([from]) => whole >= from);
  if (large) {
    const cut = whole - large[1];
    return `${group(text.slice(0, cut))}.${text.slice(cut, cut + 2)}${large[2]}`;
  }
  const room = Math.max(0, Math.min(Math.max(digits, places(text)), width - whole - 1));
  if (room === 0) return group(text.slice(0, whole));
  const fraction = (point < 0 ? '' : text.slice(point + 1)).padEnd(room, '0').slice(0, room);
  const kept = `${group(text.slice(0, whole))}.${fraction}`;
  return isZero(kept) && !isZero(text) ? `<${kept.slice(0, -1)}1` : kept;
}

/** From so many digits before the point on, so many of them make one of these. */
const LARGE = [[13, 12, 'T'], [10, 9, 'B'], [7, 6, 'M']];

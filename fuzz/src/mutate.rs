//! New inputs from seeds.
//!
//! Bytes that are changed at random seldom pass the first brace. So three changes of four are made to
//! tokens of a text: a number becomes another number, a string another string, a member comes twice.
//! The rest are made to bytes. Everything follows from the seed of the random numbers.
//!
//! What is no text of tokens is changed by rules of its own: [`frames`], [`http`].

pub mod frames;
pub mod http;

use rand::Rng as _;
use rand::rngs::SmallRng;

/// Numbers that parsers get wrong.
const NUMBERS: [&str; 38] = [
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "-1.5",
    "0.0",
    "0.00000000",
    "1e0",
    "1.5e+06",
    "1.2345e+2",
    "2.5e+3",
    "1.000e-7",
    "1E-18",
    "1e-19",
    "1e400",
    "1e-400",
    "-1e18",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "0.1",
    "0.000000000000000001",
    "0.0000000000000000001",
    "100000000000000000000000.5",
    "4294967295",
    "4294967296",
    "2147483648",
    "1723161255343",
    "1723161255343000000",
    "1e",
    "1.",
    ".5",
    "00",
];

/// Strings that parsers get wrong.
const WORDS: [&str; 26] = [
    "",
    "0",
    "x",
    "null",
    "NaN",
    "Infinity",
    "-",
    ".",
    "e",
    "BTCUSDT",
    "ETHUSDT",
    "BTC-USD",
    "BTC/USD",
    "BTC-USDT",
    "buy",
    "sell",
    "Sell",
    "BUY",
    "snapshot",
    "update",
    "delta",
    "trade",
    "book",
    "\\u0041",
    "\\ud83d\\ude00",
    "\\\"",
];

/// Pieces that are set between bytes.
const PIECES: [&str; 18] = [
    "null", "{}", "[]", "\"\"", "[[[[", "{\"", ",", ":", "\"", "\\u0000", "\\ud83d", "é",
    "\u{feff}", "\r\n", "\0", "true", "[null]", "\t",
];

/// Makes an input from seeds: one of them, changed one to six times.
pub fn input(seeds: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    let mut bytes = seeds
        .get(random.random_range(0..seeds.len().max(1)))
        .cloned()
        .unwrap_or_default();
    for _ in 0..random.random_range(1..=CHANGES_MAX) {
        if random.random_range(0..4) == 0 {
            change_bytes(&mut bytes, seeds, random);
        } else {
            change_tokens(&mut bytes, random);
        }
    }
    bytes
}

const CHANGES_MAX: u32 = 6;
/// Inputs grow no longer than this by changes.
const GROWN_MAX: usize = 64 * 1024;

/// A number that follows from an input, for what a target has to choose.
pub fn hash(input: &[u8]) -> u64 {
    // FNV-1a: one of the simplest that will do.
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn change_bytes(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut SmallRng) {
    let at = random.random_range(0..=bytes.len());
    match random.random_range(0..7) {
        0 => bytes.truncate(at),
        1 if at < bytes.len() => bytes[at] = random.random(),
        2 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
        3 => {
            let end = (at + random.random_range(0..32)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 if bytes.len() < GROWN_MAX => {
            let end = (at + random.random_range(0..64)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        5 => {
            let other = &seeds[random.random_range(0..seeds.len())];
            let from = random.random_range(0..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            let piece = PIECES[random.random_range(0..PIECES.len())];
            bytes.splice(at..at, piece.bytes());
        }
    }
}

/// A token's place: a string without its quotes, or a bare word.
#[derive(Clone, Copy, Debug)]
struct Token {
    start: usize,
    end: usize,
    quoted: bool,
}

fn change_tokens(bytes: &mut Vec<u8>, random: &mut SmallRng) {
    let tokens = tokens(bytes);
    let Some(token) = pick(&tokens, random) else {
        return;
    };
    let place = token.start..token.end;
    match random.random_range(0..8) {
        0..=2 => {
            let number = NUMBERS[random.random_range(0..NUMBERS.len())];
            bytes.splice(place, number.bytes());
        }
        3 => {
            let word = WORDS[random.random_range(0..WORDS.len())];
            let word = if token.quoted {
                word.to_owned()
            } else {
                format!("\"{word}\"")
            };
            bytes.splice(place, word.bytes());
        }
        4 => {
            // A token of the same input: prices where sizes are, one id where another is.
            if let Some(other) = pick(&tokens, random) {
                let copy = bytes[other.start..other.end].to_vec();
                bytes.splice(place, copy);
            }
        }
        5 => digits(bytes, place, random),
        6 => double_member(bytes, &tokens, random),
        _ => {
            let space = ["", " ", "\n\t", "  "][random.random_range(0..4)];
            let at = token.start.saturating_sub(usize::from(token.quoted));
            bytes.splice(at..at, space.bytes());
        }
    }
}

/// Changes the digits of a number a little: the next one, one digit more, a run of zeros.
fn digits(bytes: &mut Vec<u8>, place: std::ops::Range<usize>, random: &mut SmallRng) {
    let figures: Vec<usize> = place
        .clone()
        .filter(|at| bytes[*at].is_ascii_digit())
        .collect();
    let Some(&at) = figures.get(random.random_range(0..figures.len().max(1))) else {
        return;
    };
    match random.random_range(0..4) {
        0 => bytes[at] = b'0' + random.random_range(0..10_u8),
        1 => bytes.insert(at, b'0' + random.random_range(0..10_u8)),
        2 => {
            let zeros = [1, 7, 18, 40, 300][random.random_range(0..5)];
            bytes.splice(at..at, std::iter::repeat_n(b'0', zeros));
        }
        _ => drop(bytes.remove(at)),
    }
}

/// Lets a key with a scalar value come twice, the second time with a number of ours.
fn double_member(bytes: &mut Vec<u8>, tokens: &[Token], random: &mut SmallRng) {
    let Some(key) = pick(tokens, random).filter(|t| t.quoted) else {
        return;
    };
    if bytes.get(key.end + 1) != Some(&b':') || bytes.len() > GROWN_MAX {
        return;
    }
    let name = String::from_utf8_lossy(&bytes[key.start..key.end]).into_owned();
    let number = NUMBERS[random.random_range(0..NUMBERS.len())];
    let value = if random.random() {
        format!("\"{number}\"")
    } else {
        number.to_owned()
    };
    let member = format!("\"{name}\":{value},");
    let at = key.start - 1;
    bytes.splice(at..at, member.bytes());
}

fn pick(tokens: &[Token], random: &mut SmallRng) -> Option<Token> {
    tokens
        .get(random.random_range(0..tokens.len().max(1)))
        .copied()
}

/// The strings and bare words of a text that looks like JSON or TOML.
fn tokens(bytes: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let start = at + 1;
                at = start;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                let end = at.min(bytes.len());
                tokens.push(Token {
                    start,
                    end,
                    quoted: true,
                });
                at += 1;
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => {
                let start = at;
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric()
                        || matches!(bytes[at], b'-' | b'+' | b'.' | b'_'))
                {
                    at += 1;
                }
                tokens.push(Token {
                    start,
                    end: at,
                    quoted: false,
                });
            }
            _ => at += 1,
        }
    }
    tokens
}

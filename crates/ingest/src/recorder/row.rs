//! Rows of a recording that is being written, as JSON, without secrets.

use crate::aside::{Aside, Said, What};
use std::fmt::Write as _;
use tapecast_model::UnixNanos;

/// Something that is written down. Headers of requests are no part of it: they may hold keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// A message of a line, as it came.
    Message {
        /// When.
        at: UnixNanos,
        /// On which line.
        line: u32,
        /// What.
        raw: Vec<u8>,
        /// The session has passed on what it says. Otherwise a replay passes it over too.
        used: bool,
    },
    /// The body of an answer to a request. What the session made of it, it has [said](What::Said).
    Answer {
        /// When.
        at: UnixNanos,
        /// What was asked for.
        url: String,
        /// The venue's name of the instrument, if it is about one.
        symbol: Option<String>,
        /// What.
        raw: Vec<u8>,
    },
    /// All else.
    Aside(Aside),
}

/// Names whose values are secrets.
const SECRETS: [&str; 9] = [
    "apikey",
    "api_key",
    "key",
    "listenkey",
    "passphrase",
    "password",
    "secret",
    "signature",
    "token",
];

// === impl Row ===

impl Row {
    /// A row that is no message.
    pub const fn aside(at: UnixNanos, what: What) -> Self {
        Self::Aside(Aside { what, ts: at.get() })
    }

    /// When it happened.
    pub const fn at(&self) -> UnixNanos {
        match self {
            Self::Message { at, .. } | Self::Answer { at, .. } => *at,
            Self::Aside(aside) => aside.at(),
        }
    }

    /// About how much memory it has.
    pub fn bytes(&self) -> usize {
        let text = match self {
            Self::Message { raw, .. } => raw.len(),
            Self::Answer { url, raw, .. } => url.len() + raw.len(),
            Self::Aside(Aside { what, .. }) => match what {
                What::Open { url: text, .. }
                | What::Answer { url: text, .. }
                | What::Close { reason: text, .. }
                | What::Sent { text, .. } => text.len(),
                What::Said {
                    event: Said::Book { bids, asks, .. },
                    ..
                } => (bids.len() + asks.len()) * LEVEL_BYTES,
                _ => 0,
            },
        };
        text + size_of::<Self>()
    }

    /// Takes out what may be secret: users and passwords, values of parameters, messages of ours.
    pub(super) fn hide_secrets(&mut self) {
        match self {
            Self::Message { .. } => {}
            Self::Answer { url, .. } => *url = redacted_url(url),
            Self::Aside(Aside { what, .. }) => match what {
                What::Open { url, .. } | What::Answer { url, .. } => *url = redacted_url(url),
                What::Sent { text, .. } => *text = redacted_text(text),
                _ => {}
            },
        }
    }

    /// Appends it as one line of JSON.
    pub(super) fn write_to(&self, out: &mut String) {
        let at = self.at().get();
        match self {
            Self::Message {
                line, raw, used, ..
            } => match std::str::from_utf8(raw) {
                Ok(text) => {
                    let _ = write!(out, "{{\"ts\":{at},\"raw\":");
                    quote(text, out);
                    let _ = write!(out, ",\"line\":{line}");
                    out.push_str(if *used { "}" } else { ",\"used\":false}" });
                    out.push('\n');
                }
                Err(_) => {
                    let (line, bytes) = (*line, raw.len());
                    Self::aside(self.at(), What::Binary { line, bytes }).write_to(out);
                }
            },
            Self::Answer {
                url, symbol, raw, ..
            } => {
                let _ = write!(out, "{{\"ts\":{at},\"raw\":");
                quote(&String::from_utf8_lossy(raw), out);
                out.push_str(",\"http\":");
                quote(url, out);
                if let Some(symbol) = symbol {
                    out.push_str(",\"symbol\":");
                    quote(symbol, out);
                }
                out.push_str(",\"used\":false}\n");
            }
            Self::Aside(aside) => aside.write_to(out),
        }
    }
}

/// Of a level of a book, as text.
const LEVEL_BYTES: usize = 2 * (size_of::<String>() + 16);

/// A JSON string.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[done..at]);
        done = at + 1;
        let _ = match byte {
            b'"' | b'\\' => write!(out, "\\{}", char::from(byte)),
            _ => write!(out, "\\u{byte:04x}"),
        };
    }
    out.push_str(&text[done..]);
    out.push('"');
}

fn is_secret(name: &str) -> bool {
    SECRETS
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret))
}

/// An address without user, password and the values of secret parameters.
fn redacted_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = place.split_once('/').unwrap_or((place, ""));
    let host = host.rsplit('@').next().unwrap_or_default();
    let mut text = format!("{scheme}://{host}");
    if place.contains('/') {
        let _ = write!(text, "/{path}");
    }
    for (at, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => {
                let _ = write!(text, "{name}=***");
            }
            _ => text.push_str(pair),
        }
    }
    text
}

/// A message of ours: one that names a secret is not written at all.
fn redacted_text(text: &str) -> String {
    let mut quoted = text.split('"').skip(1).step_by(2);
    match quoted.any(is_secret) {
        true => "*** (it holds a secret)".to_owned(),
        false => text.to_owned(),
    }
}

//! Rows of a recording that is being written, as JSON, without secrets.

use std::fmt::Write as _;
use tapecast_model::UnixNanos;

/// Something that is written down. Headers of requests are no part of it: they may hold keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Row {
    /// A message of a line, as it came.
    Message {
        /// When.
        at: UnixNanos,
        /// On which line.
        line: u32,
        /// What.
        raw: Vec<u8>,
    },
    /// The body of an answer to a request.
    Answer {
        /// When.
        at: UnixNanos,
        /// What was asked for.
        url: String,
        /// The venue's name of the instrument, if it is about one.
        symbol: Option<String>,
        /// The status.
        status: u16,
        /// What.
        raw: Vec<u8>,
    },
    /// A line is open.
    Open {
        /// When.
        at: UnixNanos,
        /// Which.
        line: u32,
        /// Where to.
        url: String,
    },
    /// A line has ended.
    Close {
        /// When.
        at: UnixNanos,
        /// Which.
        line: u32,
        /// The code of the venue's close frame, if there was one.
        code: Option<u16>,
        /// Why.
        reason: String,
    },
    /// We sent a message.
    Sent {
        /// When.
        at: UnixNanos,
        /// On which line.
        line: u32,
        /// What.
        text: String,
    },
    /// Rows are missing here.
    Dropped {
        /// When this was found.
        at: UnixNanos,
        /// How many.
        rows: u64,
    },
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
    /// When it happened.
    pub const fn at(&self) -> UnixNanos {
        match self {
            Self::Message { at, .. }
            | Self::Answer { at, .. }
            | Self::Open { at, .. }
            | Self::Close { at, .. }
            | Self::Sent { at, .. }
            | Self::Dropped { at, .. } => *at,
        }
    }

    /// About how much memory it has.
    pub const fn bytes(&self) -> usize {
        let text = match self {
            Self::Message { raw, .. } => raw.len(),
            Self::Answer { url, raw, .. } => url.len() + raw.len(),
            Self::Open { url, .. } => url.len(),
            Self::Close { reason, .. } => reason.len(),
            Self::Sent { text, .. } => text.len(),
            Self::Dropped { .. } => 0,
        };
        text + size_of::<Self>()
    }

    /// Appends it as one line of JSON.
    pub(super) fn write_to(&self, out: &mut String) {
        let at = self.at().get();
        match self {
            Self::Message { line, raw, .. } => match std::str::from_utf8(raw) {
                Ok(text) => {
                    let _ = write!(out, "{{\"ts\":{at},\"raw\":");
                    quote(text, out);
                    let _ = write!(out, ",\"line\":{line}}}");
                }
                Err(_) => {
                    let bytes = raw.len();
                    begin("binary", at, out);
                    let _ = write!(out, ",\"line\":{line},\"bytes\":{bytes}}}}}");
                }
            },
            Self::Answer {
                url,
                symbol,
                status: 200,
                raw,
                ..
            } => {
                let _ = write!(out, "{{\"ts\":{at},\"raw\":");
                quote(&String::from_utf8_lossy(raw), out);
                out.push_str(",\"http\":");
                quote(&redacted_url(url), out);
                if let Some(symbol) = symbol {
                    out.push_str(",\"symbol\":");
                    quote(symbol, out);
                }
                out.push('}');
            }
            // What is no success has no data.
            Self::Answer { url, status, .. } => {
                begin("answer", at, out);
                let _ = write!(out, ",\"status\":{status},\"url\":");
                quote(&redacted_url(url), out);
                out.push_str("}}");
            }
            Self::Open { line, url, .. } => {
                begin("open", at, out);
                let _ = write!(out, ",\"line\":{line},\"url\":");
                quote(&redacted_url(url), out);
                out.push_str("}}");
            }
            Self::Close {
                line, code, reason, ..
            } => {
                begin("close", at, out);
                let _ = write!(out, ",\"line\":{line}");
                if let Some(code) = code {
                    let _ = write!(out, ",\"code\":{code}");
                }
                out.push_str(",\"reason\":");
                quote(reason, out);
                out.push_str("}}");
            }
            Self::Sent { line, text, .. } => {
                begin("sent", at, out);
                let _ = write!(out, ",\"line\":{line},\"text\":");
                quote(&redacted_text(text), out);
                out.push_str("}}");
            }
            Self::Dropped { rows, .. } => {
                begin("dropped", at, out);
                let _ = write!(out, ",\"rows\":{rows}}}}}");
            }
        }
        out.push('\n');
    }
}

fn begin(kind: &str, at: u64, out: &mut String) {
    let _ = write!(out, "{{\"tapecast\":{{\"row\":\"{kind}\",\"ts\":{at}");
}

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

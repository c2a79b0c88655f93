//! Whether `tapecast verify` finds in recordings what the independent verifiers beside them find:
//! `verify_books.py` and `verify_bbo.py`, in the directory that `TAPECAST_CAPTURES` names.
//!
//! Both read every recording of a supported format. Links of chains, checksums, crossed states, and states of the
//! book that equal the quote must be the same in number. Recordings of other formats must be called not supported.

use crate::gateway::binary;
use crate::run::{Failure, cargo, exists, must, output, program};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What the name of a recording begins with, the format that must be recognised, and what the verifier calls it.
const SUPPORTED: [(&str, &str, &str); 7] = [
    ("binance-spot_", "binance", "binance"),
    ("binance-usdm_", "binance-usdm", "binance"),
    ("bybit-v5-linear_", "bybit-linear", "bybit"),
    ("bybit-v5-spot_", "bybit-spot", "bybit"),
    ("coinbase-advanced_", "coinbase", "coinbase"),
    ("kraken-v2_", "kraken", "kraken2"),
    ("okx-v5_", "okx", "okx"),
];

/// What the names of recordings begin with whose formats have no decoder.
const NOT_SUPPORTED: [&str; 6] = [
    "bitstamp_",
    "coinbase-exchange_",
    "deribit_",
    "hyperliquid_",
    "kraken-futures_",
    "kraken-v1_",
];

/// Compares the verdicts on all recordings.
///
/// # Errors
/// If they differ.
pub(crate) fn run() -> Result<Option<String>, Failure> {
    let Some(folder) = std::env::var_os("TAPECAST_CAPTURES").map(PathBuf::from) else {
        return skipped("TAPECAST_CAPTURES is not set");
    };
    let folder =
        std::path::absolute(&folder).map_err(|error| format!("TAPECAST_CAPTURES: {error}"))?;
    let (books, quotes) = (folder.join("verify_books.py"), folder.join("verify_bbo.py"));
    if !books.is_file() || !quotes.is_file() {
        return skipped("TAPECAST_CAPTURES lacks verify_books.py or verify_bbo.py");
    }
    for needed in ["python3", "zstdcat"] {
        if !exists(needed) {
            return skipped(&format!("there is no {needed}"));
        }
    }
    must(&mut cargo(&["build", "--quiet", "--package", "tapecast"]))?;
    let mut wrong = Vec::new();
    for recording in list(&ours(&folder)?, "recordings") {
        let path = PathBuf::from(recording["path"].as_str().unwrap_or_default());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let supported = SUPPORTED.iter().find(|(start, ..)| name.starts_with(start));
        let facts = match supported {
            Some((_, format, kind)) => {
                let mut facts = vec![fact("format", &recording["format"], *format)];
                let theirs = books_of(&books, kind, &path)?;
                facts.extend(facts_of(kind, recording, &theirs));
                if *kind == "binance" && is_one_book(recording, &theirs) {
                    let text = output(program("python3").arg(&quotes).arg(&path))?;
                    facts.extend(facts_of_quotes(recording, &text));
                }
                facts
            }
            None => vec![support(&name, recording)],
        };
        let words: Vec<String> = facts.iter().map(Fact::words).collect();
        println!("    {name}: {}", words.join(", "));
        let differ = facts.iter().filter(|fact| !fact.agrees());
        wrong.extend(differ.map(|fact| format!("{name}: {}", fact.words())));
    }
    match wrong.as_slice() {
        [] => Ok(None),
        wrong => Err(wrong.join("\n")),
    }
}

fn skipped(why: &str) -> Result<Option<String>, Failure> {
    Ok(Some(format!(
        "{why}: no verdicts on recordings were compared"
    )))
}

/// Something that both say of a recording.
#[derive(Debug, Eq, PartialEq)]
struct Fact {
    what: &'static str,
    ours: String,
    theirs: String,
}

fn fact(what: &'static str, ours: impl ToString, theirs: impl ToString) -> Fact {
    // JSON has quotes around text.
    let plain = |text: String| text.trim_matches('"').to_owned();
    Fact {
        what,
        ours: plain(ours.to_string()),
        theirs: plain(theirs.to_string()),
    }
}

impl Fact {
    fn agrees(&self) -> bool {
        self.ours == self.theirs
    }

    fn words(&self) -> String {
        let Self { what, ours, theirs } = self;
        match self.agrees() {
            true => format!("{what} {ours}"),
            false => format!("{what} {ours}, BUT {theirs} BY THE VERIFIER"),
        }
    }
}

/// The report of `tapecast verify` on a directory. Its exit code is another matter: some recordings are not
/// supported.
fn ours(folder: &Path) -> Result<Value, Failure> {
    let mut command = program(binary());
    let output = command.args(["verify", "--json"]).arg(folder).output();
    let output = output.map_err(|error| format!("cannot run tapecast verify: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("tapecast verify printed no JSON: {error}\n{said}")
    })
}

/// What `verify_books.py` says of a recording: a name, and JSON.
fn books_of(verifier: &Path, kind: &str, path: &Path) -> Result<Value, Failure> {
    let text = output(program("python3").arg(verifier).arg(kind).arg(path))?;
    let json = text.find('{').map_or("", |at| &text[at..]);
    serde_json::from_str(json).map_err(|error| format!("{}: {error} in {text}", verifier.display()))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// The sum of a count over all books of a recording.
fn books(recording: &Value, key: &str) -> u64 {
    let symbols = list(recording, "symbols").iter();
    symbols
        .filter_map(|symbol| symbol["book"][key].as_u64())
        .sum()
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or(0)
}

/// What both say of books. The verifier of checksums does not count crossed states.
fn facts_of(kind: &str, recording: &Value, theirs: &Value) -> Vec<Fact> {
    let of = |key: &str| number(theirs, key);
    let (unbroken, broken, crossed) = (
        books(recording, "unbroken"),
        books(recording, "broken"),
        books(recording, "crossed"),
    );
    let (passed, failed) = (
        books(recording, "checksums_passed"),
        books(recording, "checksums_failed"),
    );
    let messages = fact("messages", &recording["messages"], of("msgs"));
    let verified = |clean: bool| fact("verified", &recording["verified"], clean);
    let checked = [
        fact("checksums", passed, of("checksum_ok")),
        fact("failed", failed, of("checksum_bad")),
    ];
    let mut facts = vec![messages];
    match kind {
        "kraken2" => {
            facts.extend(checked);
            facts.push(verified(of("checksum_bad") == 0));
        }
        "okx" => {
            facts.extend(checked);
            facts.push(fact("broken", broken, of("seqgap")));
            facts.push(verified(of("checksum_bad") + of("seqgap") == 0));
        }
        "coinbase" => {
            let states = unbroken + books(recording, "snapshots");
            // The number of the connection is that of each of its books.
            let symbols = list(recording, "symbols").len() as u64;
            facts.push(fact("links", states, of("l2_events")));
            facts.push(fact("broken", broken, of("sequence_gaps") * symbols));
            facts.push(fact("crossed", crossed, of("crossed")));
            facts.push(verified(of("sequence_gaps") == 0));
        }
        "bybit" => {
            let links = of("orderbook").saturating_sub(of("snapshots") + of("u_gaps"));
            facts.push(fact("links", unbroken, links));
            facts.push(fact("broken", broken, of("u_gaps")));
            facts.push(fact("crossed", crossed, of("crossed")));
            facts.push(verified(of("u_gaps") == 0));
        }
        _ => {
            let links = of("applied").saturating_sub(of("gaps"));
            facts.push(fact("links", unbroken, links));
            facts.push(fact("broken", broken, of("gaps")));
            facts.push(fact("crossed", crossed, of("crossed")));
            facts.push(verified(of("gaps") == 0 && of("snapshots") > 0));
        }
    }
    facts
}

/// Whether the verifier of quotes can read a recording.
fn is_one_book(recording: &Value, theirs: &Value) -> bool {
    list(recording, "symbols").len() == 1 && number(theirs, "snapshots") > 0
}

/// What both say of quotes. The verifier prints a dictionary of Python.
fn facts_of_quotes(recording: &Value, text: &str) -> Vec<Fact> {
    let of = |key: &str| {
        let (_, rest) = text.split_once(&format!("'{key}': ")).unwrap_or_default();
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..end].parse::<u64>().unwrap_or(0)
    };
    let quotes = &recording["symbols"][0]["quotes"];
    vec![
        fact(
            "quotes compared",
            &quotes["compared"],
            of("price_ok") + of("bad"),
        ),
        fact("agreed", &quotes["agreed"], of("price_qty_ok")),
    ]
}

/// A recording that no decoder reads must be called so, and a name that nobody knows must be entered here.
fn support(name: &str, recording: &Value) -> Fact {
    let error = recording["error"].as_str().unwrap_or_default();
    let said = match error.contains("not supported") {
        true => "not supported",
        false => "supported",
    };
    let known = NOT_SUPPORTED.iter().any(|start| name.starts_with(start));
    let expected = match known {
        true => "not supported",
        false => "of a format that crates/xtask/src/recordings.rs does not list",
    };
    fact("is", said, expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recording(book: Value) -> Value {
        let quotes = json!({ "compared": 9, "agreed": 8 });
        let symbol = json!({ "book": book, "quotes": quotes });
        json!({ "messages": 5, "verified": true, "symbols": [symbol] })
    }

    fn differing(facts: &[Fact]) -> Vec<&'static str> {
        let differ = facts.iter().filter(|fact| !fact.agrees());
        differ.map(|fact| fact.what).collect()
    }

    #[test]
    fn equal_counts_agree_and_others_are_named() {
        let ours = recording(json!({ "unbroken": 3, "broken": 0, "crossed": 0, "snapshots": 1 }));
        let theirs = json!({ "msgs": 5, "applied": 3, "gaps": 0, "crossed": 0, "snapshots": 1 });
        assert!(differing(&facts_of("binance", &ours, &theirs)).is_empty());
        let theirs = json!({ "msgs": 5, "applied": 4, "gaps": 1, "crossed": 2, "snapshots": 1 });
        let facts = facts_of("binance", &ours, &theirs);
        assert_eq!(differing(&facts), ["broken", "crossed", "verified"]);
        let theirs =
            json!({ "msgs": 4, "orderbook": 3, "snapshots": 1, "u_gaps": 0, "crossed": 0 });
        assert_eq!(
            differing(&facts_of("bybit", &ours, &theirs)),
            ["messages", "links"]
        );
        let theirs = json!({ "msgs": 5, "checksum_ok": 1, "checksum_bad": 0 });
        assert_eq!(
            differing(&facts_of("kraken2", &ours, &theirs)),
            ["checksums"]
        );
    }

    #[test]
    fn what_python_prints_of_quotes_is_read() {
        let ours = recording(json!({}));
        let text = "{'file': 'x', 'price_ok': 9, 'price_qty_ok': 8, 'bad': 0, 'first': None}";
        assert!(differing(&facts_of_quotes(&ours, text)).is_empty());
        let text = "{'price_ok': 9, 'price_qty_ok': 9, 'bad': 1}";
        assert_eq!(
            differing(&facts_of_quotes(&ours, text)),
            ["quotes compared", "agreed"]
        );
    }

    #[test]
    fn a_recording_without_a_decoder_must_be_called_so() {
        let refused = json!({ "error": "x: not supported: its messages are of no known format" });
        assert!(support("deribit_x.jsonl.zst", &refused).agrees());
        assert!(!support("deribit_x.jsonl.zst", &json!({ "messages": 1 })).agrees());
        assert!(!support("ftx_x.jsonl.zst", &refused).agrees());
    }
}

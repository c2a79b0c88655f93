//! The first step of the start, which `config check` takes too.

use crate::config::Config;
use crate::faults::Faults;
use crate::sources::Prepared;
use crate::start_error::StartError;
use crate::{cores, state_dir};

/// What a start needs and has no effect on other processes: everything but addresses, locks and threads. It is
/// one function for `serve` and for `config check`, so that they cannot disagree.
pub struct Ready {
    pub(super) sources: Prepared,
}

impl Ready {
    /// Checks cores and `state_dir`, reads every recording from beginning to end, and reserves all symbols.
    ///
    /// # Errors
    /// If anything of it cannot be had.
    pub fn new(config: &Config, faults: &Faults) -> Result<Self, StartError> {
        for &core in &config.shards.cores {
            cores::check("shards.cores", core)?;
        }
        if let Some(core) = config.pipeline.core {
            cores::check("pipeline.core", core)?;
        }
        if let Some(path) = &config.state_dir {
            state_dir::check(path)?;
        }
        let instruments_max = config.limits.instruments_max;
        Ok(Self {
            sources: Prepared::new(&config.sources, instruments_max, faults)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Given;

    /// What is said of a configuration that a machine cannot serve.
    fn refusal(text: &str) -> String {
        let given = Given::new(text, "t.toml", std::iter::empty());
        let config = given.config().unwrap();
        let Err(error) = Ready::new(&config, &Faults::default()) else {
            panic!("it is ready: {text}");
        };
        let message = error.to_string();
        let placed = given.error_at(error.key().unwrap(), &message).to_string();
        assert_eq!(placed.lines().count(), 1, "{placed}");
        placed
    }

    /// The refusal begins with the line of the key, and has all parts.
    fn check(text: &str, place: &str, parts: &[&str]) {
        let said = refusal(text);
        assert!(said.starts_with(place), "{said}");
        for part in parts {
            assert!(said.contains(part), "{said} lacks {part}");
        }
    }

    #[test]
    fn what_this_machine_lacks_is_found_before_anything_starts() {
        check(
            "[shards]\n\ncores = [0, 9999]",
            "t.toml:3: shards.cores",
            &["9999"],
        );
        check(
            "[pipeline]\ncore = 9999",
            "t.toml:2: pipeline.core",
            &["9999"],
        );
        check(
            "\nstate_dir = \"/dev/null\"",
            "t.toml:2: state_dir",
            &["not a directory"],
        );
        let replay =
            "[[source]]\nkind = \"sim\"\n[[source]]\nkind = \"replay\"\nformat = \"okx\"\n";
        check(
            &format!("{replay}path = \"no/such.zst\""),
            "t.toml:6: source 2",
            &["no/such.zst", "where the program was started"],
        );
        check(
            &format!("{replay}path = \"/\""),
            "t.toml:6: source 2",
            &["no recordings in this directory"],
        );
        let empty = Given::new("", "t.toml", std::iter::empty())
            .config()
            .unwrap();
        Ready::new(&empty, &Faults::default()).map(drop).unwrap();
    }

    #[test]
    fn recordings_are_read_and_symbols_counted_before_anything_starts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let source = |format: &str, path: &str| {
            format!("[[source]]\nkind = \"replay\"\nformat = \"{format}\"\npath = \"{path}\"\n")
        };
        let binance = write(
            "binance.jsonl",
            "{\"ts\":1700000000000000000,\"raw\":\"{\\\"e\\\":\\\"trade\\\",\\\"E\\\":1,\\\"s\\\":\\\"BTCUSDT\\\",\
             \\\"t\\\":1,\\\"p\\\":\\\"1.5\\\",\\\"q\\\":\\\"1\\\",\\\"T\\\":1}\"}\n",
        );
        check(
            &source("kraken", &binance),
            "t.toml:3: source 1",
            &["\"binance\""],
        );
        let words = write("words.txt", "a text\n");
        check(
            &source("okx", &words),
            "t.toml:4: source 1",
            &["words.txt", "JSON"],
        );
        let nothing = write("nothing.jsonl", "");
        check(
            &source("okx", &nothing),
            "t.toml:4: source 1",
            &["nothing.jsonl is empty"],
        );
        check(
            &format!(
                "{}{}",
                source("binance", &binance),
                source("binance", &binance)
            ),
            "t.toml:5: source 2",
            &["comes from two sources"],
        );
        let symbols: Vec<_> = (0..30).map(|n| format!("\"S{n}\"")).collect();
        check(
            &format!(
                "[limits]\ninstruments_max = 20\n[[source]]\nkind = \"push\"\nvenue = \"x\"\n\
                 listen = \"127.0.0.1:1\"\nsymbols = [{}]\n",
                symbols.join(", ")
            ),
            "t.toml:7: source 1",
            &["20", "limits.instruments_max"],
        );
    }
}

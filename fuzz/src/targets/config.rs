//! Configuration files.
//!
//! # Rules
//! * A mistake is explained in one line that names the file.

use super::{Broken, Depth, Target};
use tapecast::config::{Config, Source};

pub(super) struct Configs {
    seeds: Vec<Vec<u8>>,
    planted: bool,
}

impl Configs {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self {
            seeds,
            planted: false,
        }
    }
}

impl Target for Configs {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let text = String::from_utf8_lossy(input);
        let read = Config::parse(&text, "fuzz.toml", std::iter::empty());
        match &read {
            Err(error) => {
                let message = error.to_string();
                if !message.starts_with("fuzz.toml") || message.trim_end().contains('\n') {
                    return Err(Broken(format!(
                        "not one line that names the file: {message:?}"
                    )));
                }
            }
            Ok(config) => {
                let odd = |source: &Source| matches!(source, Source::Sim(sim) if ![5, 60].contains(&sim.symbols));
                if self.planted && config.sources.iter().any(odd) {
                    return Err(Broken(
                        "planted: a number of symbols that no seed has".to_owned(),
                    ));
                }
            }
        }
        Ok(match text.parse::<toml::Table>() {
            Ok(table) if !table.is_empty() => Depth::Body,
            _ => Depth::Head,
        })
    }
}

//! Configuration files.
//!
//! # Rules
//! * A mistake is explained in one line that names the file.
//! * What was read is printed as a configuration that reads the same.

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
                let odd_scale = |source: &Source| matches!(source, Source::Push(push) if ![4, 8].contains(&push.price_scale.digits()));
                if self.planted && config.sources.iter().any(odd_scale) {
                    return Err(Broken("planted: a scale that no seed has".to_owned()));
                }
            }
        }
        Ok(match text.parse::<toml::Table>() {
            Ok(table) if !table.is_empty() => Depth::Body,
            _ => Depth::Head,
        })
    }
}

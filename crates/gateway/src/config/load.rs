//! Reading a configuration. Each error is one line.

use super::Config;
use super::keys::{known_at_top, sections};
use super::places::{keys_in, line_of};
use super::syntax;
use super::wrong::{Wrong, read};
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A configuration as it was given: a text, the environment and flags. It knows where each key stands.
#[derive(Clone, Debug)]
pub struct Given {
    /// What errors call the text; empty if there is none.
    name: String,
    text: String,
    variables: Vec<Variable>,
    /// Variables that look like configuration, and what is said of them.
    doubts: Vec<String>,
    /// Keys that flags have set.
    flags: Vec<(&'static str, &'static str)>,
}

/// A variable of the environment that sets a key.
#[derive(Clone, Debug)]
struct Variable {
    name: String,
    path: Vec<String>,
    value: String,
}

/// A configuration that cannot be used: one line that names the place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}; {}", path.display(), to_read(path, source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file does not say what a configuration says.
    #[error("{place}: {message}")]
    Invalid {
        /// The file and line, or the variable.
        place: String,
        /// What is wrong there.
        message: String,
    },
    /// What is wrong has no place: nothing was given.
    #[error("{0}")]
    Unplaced(String),
}

/// Bytes of a configuration file at most: a thousand times the usual size.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Variables of this prefix and at least one `__` are configuration: `TAPECAST_LISTEN__PUBLIC` is
/// `public` in `[listen]`.
const PREFIX: &str = "TAPECAST_";

impl Config {
    /// Reads a file and lays the environment over it.
    ///
    /// # Errors
    /// If the file cannot be read, or it or the environment says something that is not understood.
    pub fn load(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Given::load(path, environment)?.config()
    }

    /// Reads a text and lays the environment over it; `name` is what errors call the text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        text: &str,
        name: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Given::new(text, name, environment).config()
    }
}

impl Given {
    /// Reads a file, and keeps what of the environment is configuration.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn load(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = read_file(path)?;
        Ok(Self::new(&text, &path.display().to_string(), environment))
    }

    /// Takes a text, and what of the environment is configuration. `name` is what errors call the text.
    pub fn new(
        text: &str,
        name: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let (mut variables, mut doubts) = (Vec::new(), Vec::new());
        for (name, value) in environment {
            match key_path(&name) {
                Some(path) => variables.push(Variable { name, path, value }),
                None => doubts.extend(nearly(&name)),
            }
        }
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            variables,
            doubts,
            flags: Vec::new(),
        }
    }

    /// Understands the text and the environment.
    ///
    /// # Errors
    /// If one of them says something that is not understood or not allowed: names its line.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let (text, name) = (self.text.as_str(), self.name.as_str());
        let refuse = |wrong: Wrong| {
            // Of a source the library knows only the table.
            if wrong.message.starts_with("source ") || wrong.span.is_none() {
                return self.error(&wrong.message);
            }
            invalid(&place(name, text, wrong.span), &wrong.message)
        };
        let mut table: toml::Table = toml::from_str(text).map_err(|error| {
            let wrong = syntax::explain(text, &error);
            invalid(&place(name, text, wrong.span), &wrong.message)
        })?;
        let mut config = read(toml::Deserializer::parse(text), &table).map_err(refuse)?;
        for Variable { name, path, value } in &self.variables {
            set(&mut table, path, value).map_err(|message| invalid(name, &message))?;
            // Checked one by one, so that an error names its variable.
            let given = table.clone();
            config = read(Ok(given), &table).map_err(|wrong| invalid(name, &wrong.message))?;
        }
        self.check(&config)?;
        Ok(config)
    }

    /// Notes that a flag has set a key, so that errors name it.
    pub fn note_flag(&mut self, key: &'static str, flag: &'static str) {
        self.flags.push((key, flag));
    }

    /// What the types of values do not show. To be called again when flags have changed something.
    ///
    /// # Errors
    /// If a value is out of range, or two do not go together.
    pub fn check(&self, config: &Config) -> Result<(), ConfigError> {
        super::check::problem(config).map_or(Ok(()), |wrong| Err(self.error(&wrong)))
    }

    /// Puts the place before a message that begins with its key, such as `source 2: path: …`.
    pub fn error(&self, message: &str) -> ConfigError {
        self.error_at(message, message)
    }

    /// Puts the place of a key, such as `source 2: path`, before a message.
    pub fn error_at(&self, key: &str, message: &str) -> ConfigError {
        match self.place(key) {
            place if place.is_empty() => ConfigError::Unplaced(message.to_owned()),
            place => invalid(&place, message),
        }
    }

    /// Where the key is set that a message begins with: a flag, a variable, or the text and its line.
    pub fn place(&self, message: &str) -> String {
        let first = message.split(": ").next().unwrap_or_default();
        let set = |key: &str| self.set_by(key).map(str::to_owned);
        let by = set(first).or_else(|| keys_in(message).find_map(set));
        by.unwrap_or_else(|| match line_of(&self.text, message) {
            Some(line) => format!("{}:{line}", self.name),
            None => self.name.clone(),
        })
    }

    /// Whether a key of a section, such as `limits.ping`, was given, or has its default.
    pub fn names(&self, key: &str) -> bool {
        let in_text = || {
            let table: toml::Table = toml::from_str(&self.text).ok()?;
            let (section, name) = key.split_once('.')?;
            table.get(section)?.get(name).map(drop)
        };
        self.set_by(key).is_some() || in_text().is_some()
    }

    /// What was given and has no effect.
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// The flag or the variable that has set a key, if one has.
    fn set_by(&self, key: &str) -> Option<&str> {
        let flags = self.flags.iter().rev();
        let flag = flags.clone().find(|(of, _)| *of == key);
        flag.map(|(_, flag)| *flag).or_else(|| {
            let mut variables = self.variables.iter().rev();
            let variable = variables.find(|variable| variable.path.join(".") == key);
            variable.map(|variable| variable.name.as_str())
        })
    }
}

/// A variable without the second underscore that would make it configuration, and what is said of it.
/// Kubernetes sets others of our prefix for a service of that name, such as `TAPECAST_PORT`.
fn nearly(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix(PREFIX)?.to_lowercase();
    if known_at_top().contains(&rest) && rest != "source" {
        return Some(format!(
            "{variable} has no effect: {rest} can be set in the file only; write {rest} = \"…\" there"
        ));
    }
    let meant = sections().into_iter().find_map(|(section, keys)| {
        let key = rest.strip_prefix(section)?.strip_prefix('_')?;
        let known = keys.iter().any(|known| known == key);
        known.then(|| format!("{PREFIX}{section}__{key}").to_uppercase())
    })?;
    Some(format!(
        "{variable} has no effect; write {meant}, with two underscores between section and key"
    ))
}

/// What to do about a file that cannot be read.
fn to_read(path: &Path, why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::NotFound => format!(
            "correct the path (a relative path begins in the directory where the program was started), or \
             write the file with `tapecast config print > {}`",
            path.display()
        ),
        io::ErrorKind::PermissionDenied => "let the user of this process read it".to_owned(),
        io::ErrorKind::IsADirectory => "give the file in it".to_owned(),
        _ => "give a configuration file".to_owned(),
    }
}

/// The file, and the line in it if that is known.
fn place(name: &str, text: &str, span: Option<Range<usize>>) -> String {
    let line = span.map(|span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1);
    line.map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"))
}

fn invalid(place: &str, message: &str) -> ConfigError {
    ConfigError::Invalid {
        place: place.to_owned(),
        message: message.to_owned(),
    }
}

/// `TAPECAST_LIMITS__PING` to `limits`, `ping`; none if the variable is not configuration.
fn key_path(variable: &str) -> Option<Vec<String>> {
    let path = variable.strip_prefix(PREFIX)?;
    path.contains("__")
        .then(|| path.split("__").map(str::to_lowercase).collect())
}

/// Sets a key to a value written as in the file; what is no TOML value is a string.
fn set(table: &mut toml::Table, path: &[String], value: &str) -> Result<(), String> {
    let [sections @ .., key] = path else {
        return Ok(());
    };
    let mut table = table;
    for section in sections {
        let entry = table
            .entry(section.clone())
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        table = entry.as_table_mut().ok_or_else(|| {
            format!("{section} is not a section; correct the name of this variable")
        })?;
    }
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"));
    let parsed = parsed.ok().and_then(|mut t| t.remove("value"));
    table.insert(
        key.clone(),
        parsed.unwrap_or_else(|| toml::Value::String(value.to_owned())),
    );
    Ok(())
}

/// Reads a whole file. A device that was named by mistake may have no end, so there is a limit.
fn read_file(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let mut file = file.take(FILE_BYTES_MAX + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(io::Error::other("longer than 4 MiB")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let byte = error.as_bytes().get(valid.len()).copied();
        let byte = byte.unwrap_or_default();
        let place = format!("{}:{line}", path.display());
        let message = format!("the byte 0x{byte:02x} is not UTF-8; save the file as UTF-8");
        invalid(&place, &message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_lacks_an_underscore_is_doubted_and_those_of_kubernetes_are_not() {
        let doubts = |variable: &str| {
            let environment = [(variable.to_owned(), "x".to_owned())];
            let given = Given::new("", "t.toml", environment.into_iter());
            given.config().unwrap();
            given.doubts().join("; ")
        };
        for (variable, part) in [
            ("TAPECAST_LISTEN_PUBLIC", "write TAPECAST_LISTEN__PUBLIC"),
            (
                "TAPECAST_LIMITS_CONNECTIONS_MAX",
                "write TAPECAST_LIMITS__CONNECTIONS_MAX",
            ),
            ("TAPECAST_LOG_FILTER", "write TAPECAST_LOG__FILTER"),
            ("TAPECAST_STATE_DIR", "in the file only"),
        ] {
            let said = doubts(variable);
            assert!(said.starts_with(variable) && said.contains(part), "{said}");
        }
        for variable in [
            "TAPECAST_FOO",
            "TAPECAST_SERVICE_HOST",
            "TAPECAST_SERVICE_PORT",
            "TAPECAST_SERVICE_PORT_HTTP",
            "TAPECAST_PORT",
            "TAPECAST_PORT_8080_TCP",
            "TAPECAST_PORT_8080_TCP_ADDR",
            "LISTEN_PUBLIC",
        ] {
            assert_eq!(doubts(variable), "", "{variable}");
        }
    }

    #[test]
    fn it_is_known_which_keys_were_given() {
        let given = |text: &str, environment: &[(&str, &str)]| {
            let environment: Vec<_> = environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            Given::new(text, "t.toml", environment.into_iter())
        };
        let key = crate::files::KEY;
        assert!(!given("[limits]\nping = \"1s\"", &[]).names(key));
        assert!(given("[limits]\nconnections_max = 20000", &[]).names(key));
        let variable = ("TAPECAST_LIMITS__CONNECTIONS_MAX", "7");
        assert!(given("", &[variable]).names(key));
        let mut flagged = given("[listen]\npublic = \"127.0.0.1:1\"", &[]);
        let error = |given: &Given| given.error_at("listen.public", "taken").to_string();
        assert_eq!(error(&flagged), "t.toml:2: taken");
        flagged.note_flag("listen.public", "--listen");
        assert_eq!(error(&flagged), "--listen: taken");
        let nothing = Given::new("", "", std::iter::empty());
        assert_eq!(error(&nothing), "taken");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_said_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let load = |path: &Path| {
            let error = Config::load(path, std::iter::empty()).unwrap_err();
            let error = error.to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
            error
        };
        let error = load(Path::new("no-such.toml"));
        assert!(
            error.starts_with("no-such.toml: ") && error.contains("config print > no-such.toml"),
            "{error}"
        );
        let error = load(folder.path());
        assert!(error.contains("give the file in it"), "{error}");
        let path = folder.path().join("t.toml");
        std::fs::write(&path, b"[log]\n# caf\xe9\n").unwrap();
        let error = load(&path);
        assert!(
            error.contains("t.toml:2: ") && error.contains("0xe9") && error.contains("as UTF-8"),
            "{error}"
        );
    }

    #[test]
    fn a_file_without_an_end_is_refused() {
        let error = Config::load(Path::new("/dev/zero"), std::iter::empty()).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("/dev/zero: longer than 4 MiB"), "{error}");
    }
}

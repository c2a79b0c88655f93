//! The README's blocks, run as a reader pastes them: in their order, in an empty directory.
//!
//! Three things differ from a reader's machine. Ports are replaced by free ones, the demo's by those of
//! the gateway that already runs. `cargo run --release` runs the development build, and the load harness
//! runs a small load. What blocks install is taken from what [`setup`] has installed. A block that needs
//! a program which is not available here is left out, and the report says so.

use crate::gateway::{Gateway, binary};
use crate::run::{Failure, output, program, root, scratch};
use crate::setup;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

/// No snippet takes longer, on the slowest machine.
const SECONDS_MAX: &str = "180";
/// A step of the test itself.
const OURSELVES: &str = "cargo xtask test";
/// Ports of the README that are not the demo's.
const OTHER_PORTS: [&str; 8] = [
    "7000", "8090", "8091", "8092", "8093", "8094", "8095", "9443",
];

/// Runs every snippet; answers what was left out.
///
/// # Errors
/// If one does not end with success, or prints nothing of a topic that it names.
pub(crate) fn run(gateway: &Gateway) -> Result<Option<String>, Failure> {
    let readme = fs::read_to_string(root().join("README.md"))
        .map_err(|error| format!("README.md: {error}"))?;
    let snippets: Vec<&str> = blocks(&readme, "sh")
        .into_iter()
        .filter(|snippet| !snippet.contains(OURSELVES))
        .collect();
    if snippets.len() < 5 {
        return Err(format!("README.md has only {} snippets", snippets.len()));
    }
    let desk = Desk::new(gateway)?;
    let mut left_out = None;
    for snippet in snippets {
        if snippet.contains("| websocat") && setup::websocat().is_none() {
            left_out = Some("the README's websocat line: no websocat here".to_owned());
            continue;
        }
        desk.paste(snippet)?;
    }
    Ok(left_out)
}

/// An empty directory, stand-ins for what is installed, and what to replace in snippets.
struct Desk {
    folder: PathBuf,
    programs: PathBuf,
    replacements: Vec<(String, String)>,
}

// === impl Desk ===

impl Desk {
    fn new(gateway: &Gateway) -> Result<Self, Failure> {
        let folder = scratch().join("readme");
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(failed)?;
        }
        let programs = scratch().join("readme-programs");
        fs::create_dir_all(&folder).map_err(failed)?;
        fs::create_dir_all(&programs).map_err(failed)?;
        let mut replacements = vec![
            ("127.0.0.1:8080".to_owned(), gateway.public.to_string()),
            ("127.0.0.1:8081".to_owned(), gateway.admin.to_string()),
            (
                "target/release/loadtest run fanout".to_owned(),
                format!(
                    "{} run fanout --set clients=20 --set warm_up_s=0.5 --seconds 2",
                    binary().with_file_name("loadtest").display()
                ),
            ),
        ];
        // All are held until all are known, so that they differ.
        let mut held = Vec::new();
        for port in OTHER_PORTS {
            let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
            let free = listener.local_addr().map_err(failed)?.port();
            for between in [":", "/"] {
                let place = |port: &str| format!("127.0.0.1{between}{port}");
                replacements.push((place(port), place(&free.to_string())));
            }
            held.push(listener);
        }
        let desk = Self {
            folder,
            programs,
            replacements,
        };
        desk.stand_ins()?;
        Ok(desk)
    }

    /// Programs that come before the machine's own.
    fn stand_ins(&self) -> Result<(), Failure> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let (root, scratch) = (root(), scratch());
        let (root, scratch) = (root.display(), scratch.display());
        self.stand_in(
            "cargo",
            &format!(
                "case \"$1 $2\" in\n\
                 'run --release') shift 3; exec '{}' \"$@\" ;;\n\
                 'build --release') shift 2; exec '{cargo}' build --quiet --manifest-path '{root}/Cargo.toml' \"$@\" ;;\n\
                 *) echo \"not a command of the README: cargo $*\" >&2; exit 2 ;;\nesac",
                binary().display()
            ),
        )?;
        self.stand_in(
            "python3",
            &format!("[ \"$*\" = '-m venv .venv' ] || exit 2\nexec ln -sfn '{scratch}/venv' .venv"),
        )?;
        self.stand_in(
            "npm",
            &format!("[ \"$1\" = install ] || exit 2\nexec ln -sfn '{root}/tests/clients/node_modules' node_modules"),
        )?;
        let Some(websocat) = setup::websocat().filter(|path| path.is_absolute()) else {
            return Ok(());
        };
        let place = self.programs.join("websocat");
        let _ = fs::remove_file(&place);
        symlink(websocat, &place).map_err(|error| format!("{}: {error}", place.display()))
    }

    fn stand_in(&self, name: &str, script: &str) -> Result<(), Failure> {
        let place = self.programs.join(name);
        let failed = |error: std::io::Error| format!("{}: {error}", place.display());
        fs::write(&place, format!("#!/bin/sh\n{script}\n")).map_err(failed)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).map_err(failed)
    }

    fn paste(&self, snippet: &str) -> Result<(), Failure> {
        // What a snippet leaves running when it fails would keep its output open.
        let mut text = format!("trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{snippet}");
        for (from, to) in &self.replacements {
            text = text.replace(from, to);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = program("timeout");
        command
            .args([
                "--kill-after=5",
                SECONDS_MAX,
                "bash",
                "-euo",
                "pipefail",
                "-c",
                &text,
            ])
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{path}", self.programs.display()));
        let first = snippet.lines().next().unwrap_or_default();
        let printed =
            output(&mut command).map_err(|error| format!("README.md, {first}: {error}"))?;
        let missing: Vec<&str> = topics(snippet)
            .into_iter()
            .filter(|topic| !printed.contains(topic))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "README.md, {first}: printed nothing of {}:\n{printed}",
                missing.join(", ")
            ))
        }
    }
}

/// The fenced blocks of a language, in their order.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    text.split(open.as_str())
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

/// The topics that a snippet names.
fn topics(snippet: &str) -> Vec<&str> {
    let part = |c: char| c.is_ascii_alphanumeric() || ".:-".contains(c);
    snippet
        .split(|c| !part(c))
        .filter(|word| {
            let kinds = ["trade:", "quote:", "book."];
            kinds.iter().any(|kind| word.starts_with(kind)) && word.matches(':').count() == 2
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snippets_are_found_in_their_order() {
        let text = "a\n```sh\none\n```\n```js\ntwo\n```\n```sh\nthree\nfour\n```\n";
        assert_eq!(blocks(text, "sh"), ["one\n", "three\nfour\n"]);
    }

    #[test]
    fn topics_of_snippets_are_found() {
        let snippet = r#"x '{"topics":["quote:sim:BTC-USD","book.10:sim:ETH-USD"]}' ws://127.0.0.1:8080/v1/ws trade:sim:A --count"#;
        assert_eq!(
            topics(snippet),
            ["quote:sim:BTC-USD", "book.10:sim:ETH-USD", "trade:sim:A"]
        );
    }

    #[test]
    fn the_readme_says_only_what_is_replaced() {
        let readme = fs::read_to_string(root().join("README.md")).unwrap();
        for snippet in blocks(&readme, "sh") {
            for rest in snippet.split("127.0.0.1").skip(1) {
                let port: String = rest[1..].chars().take_while(char::is_ascii_digit).collect();
                let known = ["8080", "8081"].contains(&&*port) || OTHER_PORTS.contains(&&*port);
                assert!(known, "port {port} of a snippet is not replaced: {snippet}");
            }
        }
    }
}

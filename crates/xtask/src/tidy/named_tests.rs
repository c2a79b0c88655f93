//! Documents that name tests: a link from the name of a test, in a code span, to a file leads to a file that has it.

use super::Source;
use super::prose::clean;
use std::path::{Path, PathBuf};

/// Tests that are named and not there.
pub(super) fn problems(sources: &[Source]) -> Vec<String> {
    let documents = sources.iter().filter(|source| source.is(".md"));
    documents
        .flat_map(|document| missing(document, sources))
        .collect()
}

fn missing(document: &Source, sources: &[Source]) -> Vec<String> {
    let folder = Path::new(&document.path).parent().unwrap_or(Path::new(""));
    let links = document.text.split("[`").skip(1);
    let links = links.filter_map(|rest| {
        let (name, rest) = rest.split_once("`](")?;
        let (target, _) = rest.split_once(')')?;
        // Names of files and types are linked, too.
        let is_test = name.matches('_').count() > 2 && !name.contains(['/', '.', ':', ' ']);
        (is_test && target.ends_with(".rs")).then_some((name, clean(&folder.join(target))))
    });
    let is_missing = |(name, path): &(&str, PathBuf)| {
        let head = format!("fn {name}(");
        let mut files = sources
            .iter()
            .filter(|source| Path::new(&source.path) == path);
        !files.any(|source| source.text.contains(&head))
    };
    links
        .filter(is_missing)
        .map(|(name, path)| format!("{}: {} has no test {name}", document.path, path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn a_named_test_is_in_the_file_that_is_linked() {
        let document = |name: &str| {
            let link = format!(
                "| [`{name}`](../crates/x/tests/a.rs), [`lib.rs`](../crates/x/src/lib.rs) |"
            );
            source("docs/A.md", &link)
        };
        let tests = || source("crates/x/tests/a.rs", "fn it_waits_for_all() {}");
        assert!(problems(&[document("it_waits_for_all"), tests()]).is_empty());
        assert_eq!(
            problems(&[document("it_waits_for_some"), tests()]),
            ["docs/A.md: crates/x/tests/a.rs has no test it_waits_for_some"]
        );
    }
}

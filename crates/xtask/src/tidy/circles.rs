//! Circles of files within a crate: `a` imports `b`, and `b` imports `a`, alone or with others between
//! them. Nobody can read, test or move one of them without the others.
//!
//! The modules of a crate are a tree, and the rule compares the children of each parent. A child stands for
//! all files below it: `shard/requests.rs` that imports `metrics` counts as `shard` that imports `metrics`. A
//! parent and its own children may import each other.
//!
//! An import is a path that begins with `crate`, `super` or `self`, in a `use` or anywhere else. A name that
//! a module only passes on (`pub use line::Line;`) is followed to the file that it comes from. What only tests
//! import does not count.

use super::Source;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Names from a crate's root to a module.
type Path = Vec<String>;

/// The files of one crate, by module.
type Crate<'a> = BTreeMap<Path, File<'a>>;

/// A file and what it imports.
struct File<'a> {
    /// From the root of the checkout.
    path: &'a str,
    /// Every import, with the module inside the file in which it is written.
    imports: Vec<Import>,
    /// The names that its `use` items bring into the file's own module, and where they come from.
    names: BTreeMap<String, Import>,
    /// Its modules that are there only for tests.
    tests: BTreeSet<String>,
}

/// A path as written, and the module it is written in.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
struct Import {
    within: Path,
    path: Path,
}

/// A file that imports something of another child of the same parent.
#[derive(Clone)]
struct Step {
    file: String,
    import: String,
}

/// Steps between the children of one parent, by both ends.
type Steps = BTreeMap<String, BTreeMap<String, Step>>;

/// How often a name may be passed on before the rule gives up.
const PASSED_ON_MAX: usize = 8;

/// Circles in all crates.
pub(super) fn problems(sources: &[Source]) -> Vec<String> {
    let crates = crates(sources);
    crates.values().flat_map(circles).collect()
}

/// Crates by the folder of their root: `lib.rs`, or else `main.rs`.
fn crates(sources: &[Source]) -> BTreeMap<&str, Crate<'_>> {
    let rust = || sources.iter().filter(|source| source.is(".rs"));
    let root = |source: &'_ Source| {
        let (folder, name) = source.path.rsplit_once('/')?;
        matches!(name, "lib.rs" | "main.rs").then_some(folder.len())
    };
    let roots: BTreeSet<&str> = rust()
        .filter_map(|source| Some(&source.path[..root(source)?]))
        .collect();
    let mut crates: BTreeMap<&str, Crate<'_>> = BTreeMap::new();
    for source in rust() {
        let folders = source.path.match_indices('/').rev();
        let mut folders = folders.map(|(at, _)| &source.path[..at]);
        let Some(folder) = folders.find(|folder| roots.contains(folder)) else {
            continue;
        };
        let name = source.path[folder.len() + 1..].trim_end_matches(".rs");
        let module: Path = match name {
            "lib" | "main" => Path::new(),
            name => name.split('/').map(str::to_owned).collect(),
        };
        let files = crates.entry(folder).or_default();
        // The library's root comes first, and is the one that `crate` means.
        files
            .entry(module.clone())
            .or_insert_with(|| File::read(source, module));
    }
    crates
}

/// The circles of a crate: one for each group of modules that cannot be taken apart.
fn circles(files: &Crate<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (parent, steps) in steps(files) {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for child in steps.keys() {
            if seen.contains(child.as_str()) {
                continue;
            }
            if let Some(circle) = shortest(&steps, child) {
                // Whatever leads to the circle and is reached from it is a part of the same knot.
                seen.extend(steps.keys().map(String::as_str).filter(|other| {
                    way(&steps, child, other).is_some() && way(&steps, other, child).is_some()
                }));
                found.push(told(&parent, &circle));
            }
        }
    }
    found
}

fn told(parent: &Path, circle: &[Step]) -> String {
    let steps: Vec<String> = circle
        .iter()
        .map(|Step { file, import }| format!("{file} imports {import}"))
        .collect();
    let place = if parent.is_empty() {
        "the crate's modules".to_owned()
    } else {
        format!("the modules of {}", parent.join("::"))
    };
    format!(
        "a circle in {place}: {}; move what they share to the file that owns it",
        steps.join(", ")
    )
}

/// Which children import which, for every parent.
fn steps(files: &Crate<'_>) -> BTreeMap<Path, Steps> {
    let mut steps: BTreeMap<Path, Steps> = BTreeMap::new();
    for (module, file) in files {
        for import in &file.imports {
            let Some(target) = resolve(files, import, PASSED_ON_MAX) else {
                continue;
            };
            let shared = module.iter().zip(&target).take_while(|(a, b)| a == b);
            let shared = shared.count();
            if (shared..module.len()).any(|at| is_for_tests(files, &module[..=at])) {
                continue;
            }
            let (Some(from), Some(to)) = (module.get(shared), target.get(shared)) else {
                // The file itself, its ancestor or its descendant.
                continue;
            };
            let step = Step {
                file: file.path.to_owned(),
                import: import.path.join("::"),
            };
            steps
                .entry(module[..shared].to_vec())
                .or_default()
                .entry(from.clone())
                .or_default()
                .entry(to.clone())
                .or_insert(step);
        }
    }
    steps
}

/// Whether a module is there only for tests.
fn is_for_tests(files: &Crate<'_>, module: &[String]) -> bool {
    module.split_last().is_some_and(|(name, parent)| {
        let parent = files.get(parent);
        parent.is_some_and(|parent| parent.tests.contains(name))
    })
}

/// The shortest way from a child back to itself.
fn shortest(steps: &Steps, child: &str) -> Option<Vec<Step>> {
    let ways = steps.get(child)?.iter().filter_map(|(next, step)| {
        let mut circle = vec![step.clone()];
        circle.extend(way(steps, next, child)?);
        Some(circle)
    });
    ways.min_by_key(Vec::len)
}

/// The shortest way from a child to another; no steps from a child to itself.
fn way(steps: &Steps, from: &str, to: &str) -> Option<Vec<Step>> {
    let mut ways = VecDeque::from([(from, Vec::new())]);
    let mut seen = BTreeSet::from([from]);
    while let Some((at, way)) = ways.pop_front() {
        if at == to {
            return Some(way);
        }
        for (next, step) in steps.get(at).into_iter().flatten() {
            if seen.insert(next) {
                let mut way = way.clone();
                way.push(step.clone());
                ways.push_back((next, way));
            }
        }
    }
    None
}

/// The module of the file that an import comes from; none for another crate.
fn resolve(files: &Crate<'_>, import: &Import, passed_on_max: usize) -> Option<Path> {
    let mut names = import.path.iter().map(String::as_str).peekable();
    let mut at = import.within.clone();
    match names.peek()? {
        &"crate" => {
            names.next();
            at.clear();
        }
        &"self" => {
            names.next();
        }
        &"super" => {
            while names.next_if_eq(&"super").is_some() {
                at.pop();
            }
        }
        first => {
            // A child, or a name that another `use` of the file brings; else another crate.
            let mut child = at.clone();
            child.push((*first).to_owned());
            let known = files.get(&at).is_some_and(|f| f.names.contains_key(*first));
            if !known && !files.contains_key(&child) {
                return None;
            }
        }
    }
    while let Some(name) = names.next() {
        let mut child = at.clone();
        child.push(name.to_owned());
        if files.contains_key(&child) {
            at = child;
            continue;
        }
        let passed_on = files.get(&at).and_then(|file| file.names.get(name));
        if let Some(origin) = passed_on.filter(|origin| *origin != import && passed_on_max > 0) {
            let mut origin = origin.clone();
            origin.path.extend(names.map(str::to_owned));
            return resolve(files, &origin, passed_on_max - 1);
        }
        break;
    }
    // Out of the modules that are written in a file, to that file.
    while !files.contains_key(&at) {
        at.pop()?;
    }
    Some(at)
}

// === impl File ===

impl<'a> File<'a> {
    fn read(source: &'a Source, module: Path) -> Self {
        let mut file = Self {
            path: &source.path,
            imports: Vec::new(),
            names: BTreeMap::new(),
            tests: BTreeSet::new(),
        };
        // What is no Rust is the compiler's to refuse.
        let tokens: TokenStream = source.text.parse().unwrap_or_default();
        file.walk(tokens, &module, &module);
        file
    }

    /// Notes the imports of a module that is written in this file, and of all modules in it.
    fn walk(&mut self, tokens: TokenStream, module: &Path, within: &Path) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let rest = &tokens[at..];
            at += match token {
                TokenTree::Group(group) => {
                    self.walk(group.stream(), module, within);
                    1
                }
                TokenTree::Punct(_) if is_test(rest) => {
                    let item = &rest[..item(rest)];
                    if let [.., TokenTree::Ident(word), TokenTree::Ident(name), end] = item
                        && word == "mod"
                        && is_punct(end, ';')
                    {
                        self.tests.insert(name.to_string());
                    }
                    item.len()
                }
                TokenTree::Ident(word) if word == "mod" => match rest {
                    [_, TokenTree::Ident(name), TokenTree::Group(body), ..] => {
                        let mut inner = within.clone();
                        inner.push(name.to_string());
                        self.walk(body.stream(), module, &inner);
                        3
                    }
                    _ => 1,
                },
                TokenTree::Ident(word) if word == "use" => {
                    let end = rest.iter().position(|token| is_punct(token, ';'));
                    let end = end.unwrap_or(rest.len());
                    self.note(&rest[1..end], &Path::new(), module, within);
                    end
                }
                TokenTree::Ident(word) if word == "crate" || word == "super" || word == "self" => {
                    let (path, length) = path(rest);
                    if path.len() > 1 {
                        self.imports.push(Import {
                            within: within.clone(),
                            path,
                        });
                    }
                    length
                }
                _ => 1,
            };
        }
    }

    /// Notes what a `use` names: `a::b`, `a::{b, c::d}`, `a::b as c`, `a::*`.
    fn note(&mut self, tree: &[TokenTree], before: &Path, module: &Path, within: &Path) {
        for branch in tree.split(|token| is_punct(token, ',')) {
            let (names, length) = path(branch);
            let mut path = before.clone();
            path.extend(names);
            match &branch[length..] {
                [.., TokenTree::Group(group)] => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    self.note(&inner, &path, module, within);
                }
                after if !path.is_empty() => {
                    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                        path.pop();
                    }
                    let import = Import {
                        within: within.clone(),
                        path,
                    };
                    let name = match after {
                        [TokenTree::Ident(_as), TokenTree::Ident(name)] => Some(name.to_string()),
                        [] => import.path.last().cloned(),
                        _ => None,
                    };
                    if let Some(name) = name.filter(|_| module == within) {
                        self.names.insert(name, import.clone());
                    }
                    self.imports.push(import);
                }
                _ => {}
            }
        }
    }
}

/// The names at the beginning that are joined by `::`, and how many tokens they are, a last `::` included.
fn path(tokens: &[TokenTree]) -> (Path, usize) {
    let mut names = Path::new();
    let mut length = 0;
    while let Some(TokenTree::Ident(name)) = tokens.get(length) {
        names.push(name.to_string());
        length += 1;
        match &tokens[length..] {
            [first, second, ..] if is_punct(first, ':') && is_punct(second, ':') => length += 2,
            _ => break,
        }
    }
    (names, length)
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

/// Whether an attribute begins here that keeps the next item for tests: `#[cfg(test)]`, `#[cfg(all(test, …))]`.
fn is_test(tokens: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(attribute), ..] = tokens else {
        return false;
    };
    let text = attribute.stream().to_string().replace(' ', "");
    is_punct(hash, '#') && (text.starts_with("cfg(test") || text.starts_with("cfg(all(test"))
}

/// How many tokens an item has, its attributes included: to its body or its semicolon.
fn item(tokens: &[TokenTree]) -> usize {
    let end = tokens.iter().position(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_punct(token, ';'),
    });
    end.map_or(tokens.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    /// Problems of a crate with these modules.
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let path = |name: &str| format!("crates/x/src/{name}.rs");
        let mut sources = vec![source(
            &path("lib"),
            "pub mod a;\npub mod b;\npub use a::A;",
        )];
        sources.extend(files.iter().map(|(name, text)| source(&path(name), text)));
        let found = problems(&sources);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn files_that_import_each_other_are_found() {
        check(
            &[("a", "use crate::b::B;"), ("b", "use crate::a::A;")],
            &["crates/x/src/a.rs imports crate::b::B, crates/x/src/b.rs imports crate::a::A; move"],
        );
        check(&[("a", "use crate::b::B;"), ("b", "use std::fs;")], &[]);
    }

    #[test]
    fn a_longer_circle_is_found_once_and_the_files_before_it_are_not_part_of_it() {
        check(
            &[
                ("a", "use crate::b::B;"),
                ("b", "use crate::c::C;"),
                ("c", "use crate::d::D;"),
                ("d", "use crate::b::B;"),
            ],
            &[
                "b.rs imports crate::c::C, crates/x/src/c.rs imports crate::d::D, crates/x/src/d.rs imports crate::b::B",
            ],
        );
    }

    #[test]
    fn every_way_to_write_an_import_counts() {
        let imports = [
            "use super::b::B;",
            "use crate::{std, b::{self, B}};",
            "use crate::{b as other};",
            "fn f() -> crate::b::B { x }",
            "fn f() { vec![super::b::B::<u8>::new()] }",
            "mod inner { use super::super::b::B; }",
            "use crate::b::*;",
            "use super::b; use b::B;",
        ];
        for import in imports {
            let text = format!("pub struct A;\n{import}");
            check(
                &[("a", &text), ("b", "use crate::a::A;")],
                &["b.rs imports crate::a::A"],
            );
        }
    }

    #[test]
    fn words_in_comments_and_texts_and_what_only_tests_import_do_not_count() {
        let imports = [
            "//! See [`crate::b`].\n",
            "/// See [`crate::b`].\nfn f() { \"crate::b\"; 'a'; r#\"crate::b\"# }",
            "#[cfg(test)]\nmod tests { use crate::b::B; }",
            "#[cfg(all(test, not(loom)))]\nuse crate::b::B;",
            "mod tests { use super::*; }",
            "use x::b::B; use b_crate::b;",
            "pub(crate) fn f() { self.b() }",
        ];
        for import in imports {
            check(&[("a", import), ("b", "use crate::a::A;")], &[]);
        }
    }

    #[test]
    fn what_a_file_of_tests_imports_does_not_count_and_circles_among_its_files_do() {
        let tests = ("a", "#[cfg(test)]\nmod tests;");
        let b = ("b", "use crate::a::A;");
        check(&[tests, b, ("a/tests", "use crate::b::B;")], &[]);
        check(
            &[
                tests,
                b,
                ("a/tests", "mod rig;\nmod client;\nuse crate::b::B;"),
                ("a/tests/rig", "use super::client::Client;"),
                ("a/tests/client", "use super::rig::Rig;"),
            ],
            &["a circle in the modules of a::tests"],
        );
    }

    #[test]
    fn a_parent_and_its_children_are_no_circle_and_siblings_are_one() {
        let parent = ("a", "mod one;\nmod two;\nuse one::One;\npub struct A;");
        check(
            &[
                parent,
                ("a/one", "use super::A;"),
                ("a/two", "use super::A;"),
            ],
            &[],
        );
        check(
            &[
                parent,
                ("a/one", "use super::two::Two;"),
                ("a/two", "use crate::a::one::One;"),
            ],
            &["a circle in the modules of a: crates/x/src/a/one.rs imports super::two::Two"],
        );
    }

    #[test]
    fn a_name_that_is_passed_on_comes_from_its_file() {
        check(
            &[("a", "use crate::b::B;"), ("b", "use crate::A;")],
            &["b.rs imports crate::A"],
        );
        check(
            &[
                ("a", "mod one;\nmod two;\npub use one::One as First;"),
                ("a/one", "use super::two::Two;"),
                ("a/two", "use super::First;"),
            ],
            &["two.rs imports super::First"],
        );
    }

    #[test]
    fn a_child_stands_for_all_files_below_it() {
        check(
            &[
                ("a", "mod one;"),
                ("a/one", "use crate::b::B;"),
                ("b", "use crate::a::A;"),
            ],
            &["a circle in the crate's modules: crates/x/src/a/one.rs imports crate::b::B"],
        );
    }
}

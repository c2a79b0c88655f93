//! The container image: what is built in it must be copied into it. A member of the workspace that is not
//! there prevents the build of all others.

use super::Source;

const MANIFEST: &str = "Cargo.toml";
const RECIPE: &str = "deploy/Dockerfile";
const CONTEXT: &str = ".dockerignore";

/// Members of the workspace that the recipe does not copy, or that do not reach it.
pub(super) fn problems(sources: &[Source]) -> Vec<String> {
    let text = |path: &str| {
        let source = sources.iter().find(|source| source.path == path);
        source.map(|source| source.text.as_str())
    };
    let (Some(manifest), Some(recipe)) = (text(MANIFEST), text(RECIPE)) else {
        return Vec::new();
    };
    let context = text(CONTEXT);
    let mut found = Vec::new();
    for folder in members(manifest) {
        let copy = format!("COPY {folder} ");
        if !recipe.lines().any(|line| line.starts_with(&copy)) {
            found.push(format!(
                "{RECIPE}: does not copy {folder}, a member of the workspace; write COPY {folder} {folder}"
            ));
        }
        let pass = format!("!{folder}");
        if context.is_some_and(|context| !context.lines().any(|line| line == pass)) {
            found.push(format!(
                "{CONTEXT}: leaves out {folder}, a member of the workspace; write {pass}"
            ));
        }
    }
    found
}

/// The folders at the top that have members of the workspace.
fn members(manifest: &str) -> Vec<String> {
    let table: toml::Table = manifest.parse().unwrap_or_default();
    let members = table.get("workspace").and_then(|w| w.get("members"));
    let members = members
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten();
    let folders = members.filter_map(|member| member.as_str()?.split('/').next());
    folders.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn every_member_is_copied_and_reaches_the_build() {
        let found = |recipe: &str, context: &str| {
            problems(&[
                source(
                    MANIFEST,
                    "[workspace]\nmembers = [\"crates/*\", \"fuzz\"]\n",
                ),
                source(RECIPE, recipe),
                source(CONTEXT, context),
            ])
        };
        assert_eq!(
            found(
                "COPY crates crates\nCOPY fuzz fuzz\n",
                "*\n!crates\n!fuzz\n"
            ),
            [""; 0]
        );
        assert_eq!(
            found("COPY crates crates\n", "*\n!crates\n"),
            [
                "deploy/Dockerfile: does not copy fuzz, a member of the workspace; write COPY fuzz fuzz",
                ".dockerignore: leaves out fuzz, a member of the workspace; write !fuzz",
            ]
        );
    }
}

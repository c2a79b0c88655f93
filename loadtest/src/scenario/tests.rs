//! Scenarios: what is refused, with which words, and that the bundled ones are valid.

use super::*;

fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(text, "x.toml", &[])
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let expected = r#"x.toml: unknown key "clinets"; did you mean "clients"?"#;
    assert_eq!(refusal("clinets = 5"), expected);
    let refusal = Scenario::parse("", "x.toml", &["durations=5".into()]).unwrap_err();
    let expected = r#"--set durations=5: unknown key "durations"; did you mean "duration_s"?"#;
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn settings_win_over_the_file() {
    let settings = ["rate=0", "window = 32", "name=my name"].map(str::to_owned);
    let scenario = Scenario::parse("rate = 5\nclients = 7", "x.toml", &settings).unwrap();
    assert!(scenario.is_closed_loop());
    assert_eq!((scenario.window, scenario.clients), (32, 7));
    assert_eq!(scenario.name, "my name");
}

#[test]
fn a_setting_changes_one_key_of_the_servers_configuration() {
    let text = "[server.limits]\nstall_timeout = \"1m\"\nping = \"5s\"";
    let setting = "server.limits.stall_timeout=\"2m\"".to_owned();
    let scenario = Scenario::parse(text, "x.toml", &[setting]).unwrap();
    let limits = &scenario.server["limits"];
    assert_eq!(limits["stall_timeout"].as_str(), Some("2m"));
    assert_eq!(limits["ping"].as_str(), Some("5s"));
}

#[test]
fn values_that_make_no_sense_are_refused_with_what_would() {
    assert_eq!(refusal("clients = 0"), "clients = 0: at least 1");
    let expected = "topics_per_client = 3: at least 1 and at most `topics`";
    assert_eq!(refusal("topics = 2\ntopics_per_client = 3"), expected);
    assert!(refusal("stalled_share = 1.0").contains("below 1"));
    assert!(refusal("clients = \"many\"").starts_with("x.toml: invalid type"));
    assert!(refusal("clients = 1\nrate = = 2").starts_with("x.toml:2: "));
    assert!(refusal("kind = \"bar\"").contains("unknown variant"));
    assert!(refusal("mode = \"storm\"").contains("connect_storm"));
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    assert!(refusal("stalled_share = 0.1").contains("or neither"));
    assert!(refusal("stall_s = 5").contains("or neither"));
    assert!(refusal("slow_clients = 100").contains("at least one client must read"));
    assert!(refusal("mode = \"idle\"\nchurn_per_s = 1").contains("need `mode = \"stream\"`"));
    assert!(refusal("rate = 0\nslow_clients = 1").contains("open loop"));
    assert!(refusal("topic = \"trade:sim:A-USD\"").contains("publisher"));
    let foreign = "publisher = \"none\"\ntopic = \"trade:sim:A-USD\"";
    assert_eq!(parse(foreign).unwrap().topic_pattern(), "trade:sim:A-USD");
    let expected = "a name with `{n}` once";
    assert!(refusal(&format!("{foreign}\ntopics = 2")).contains(expected));
}

#[test]
fn the_bundled_scenarios_are_valid_and_described() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let scenario = Scenario::load(&entry.unwrap().path(), &[]).unwrap();
        assert!(!scenario.description.is_empty(), "{}", scenario.name);
        let bundled = Scenario::find(Path::new(&scenario.name), &[]).unwrap();
        assert_eq!(bundled, scenario);
        names.push(scenario.name);
    }
    names.sort_unstable();
    assert_eq!(names, BUNDLED.map(|(name, _)| name));
}

#[test]
fn a_scenario_that_is_not_there_is_answered_with_those_that_are() {
    let error = Scenario::find(Path::new("fan_out"), &[]).unwrap_err();
    assert!(error.to_string().contains("burst, burst_256"), "{error}");
}

#[test]
fn the_readme_names_every_key() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    for key in keys() {
        assert!(readme.contains(&format!("`{key}`")), "{key}");
    }
}

//! Configurations as people write them, and what is said of the wrong ones.

use super::*;
use tapecast_ingest::replay::Speed;
use tapecast_ingest::venue::Format;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, "t.toml", std::iter::empty()).map_err(|e| e.to_string())
}

fn with(text: &str, variable: &str, value: &str) -> Result<Config, String> {
    let environment = [(variable.to_owned(), value.to_owned())];
    Config::parse(text, "t.toml", environment.into_iter()).map_err(|e| e.to_string())
}

#[test]
fn an_empty_file_is_the_defaults_and_so_is_the_documented_one() {
    assert_eq!(parse("").unwrap(), Config::default());
    let documented = parse(DEFAULTS).unwrap();
    assert_eq!(
        Config {
            sources: vec![],
            ..documented
        },
        Config::default()
    );
}

#[test]
fn a_file_with_nothing_but_sources_is_valid() {
    let config = parse(
        r#"
        [[source]]
        kind = "replay"
        format = "okx"
        path = "x.zst"
        speed = "max"
        start = "on-command"
        [source.symbols]
        "BTC-USD-SWAP" = "BTC-USD-PERP"
        [[source]]
        kind = "push"
        venue = "desk"
        listen = "127.0.0.1:7000"
        [[source]]
        kind = "sim"
        symbols = 50
        "#,
    )
    .unwrap();
    let [Source::Replay(replay), Source::Push(push), Source::Sim(sim)] = &config.sources[..] else {
        panic!("{config:?}");
    };
    assert_eq!((replay.venue.as_str(), replay.format), ("okx", Format::Okx));
    assert_eq!(
        (replay.speed, replay.start, replay.looped),
        (Speed::Max, Start::OnCommand, false)
    );
    assert_eq!(replay.symbols["BTC-USD-SWAP"].as_str(), "BTC-USD-PERP");
    assert_eq!((push.price_scale.digits(), sim.symbols), (8, 50));
}

#[test]
fn errors_are_one_line_that_names_the_place_and_the_remedy() {
    let check = |text: &str, parts: &[&str]| {
        let error = parse(text).unwrap_err();
        assert_eq!(error.lines().count(), 1, "{error}");
        for part in parts {
            assert!(error.contains(part), "{error} lacks {part}");
        }
    };
    check(
        "\n[listen]\npublik = \"x\"",
        &["t.toml:3", "\"publik\"", "did you mean \"public\""],
    );
    check(
        "[limits]\nping = \"soon\"",
        &["t.toml:2", "\"soon\"", "\"5s\""],
    );
    check("[limits]\nping = \"40s\"", &["limits.ping", "idle_timeout"]);
    check(
        "[[source]]\nkind = \"ftp\"",
        &["source 1", "\"ftp\"", "\"replay\""],
    );
    check(
        "[[source]]\nkind = \"replay\"\nformat = \"okex\"\npath = \"x\"",
        &["source 1", "format", "okx"],
    );
    check(
        "[[source]]\nkind=\"sim\"\n[[source]]\nkind = \"sim\"\nsede = 1",
        &["source 2", "\"sede\"", "\"seed\""],
    );
    check(
        "[[source]]\nkind = \"push\"\nvenue = \"x\"\nlisten = \"127.0.0.1:1\"\nsymbols = [\"A B\"]",
        &["source 1", "symbols", "A B"],
    );
    check(
        "[[source]]\nkind = \"replay\"\nformat = \"okx\"\npath = \"x\"\nspeed = -1",
        &["speed", "max"],
    );
    check(
        "[listen]\nadmin = \"localhost\"",
        &["t.toml:2", "\"localhost\"", "localhost:8080"],
    );
    check("[listen", &["t.toml:1"]);
    let push = "[[source]]\nkind = \"push\"\nvenue = \"sim\"\nlisten = \"127.0.0.1:1\"\n";
    check(
        &format!("{push}[[source]]\nkind = \"sim\"\n"),
        &["source 1", "another venue"],
    );
    check(&push.replace("\"sim\"", "\"best\""), &["source 1", "best"]);
}

#[test]
fn the_environment_lies_over_the_file() {
    let text = "[limits]\nping = \"7s\"\n[listen]\nadmin = \"127.0.0.1:1\"";
    let config = with(text, "TAPECAST_LISTEN__PUBLIC", "0.0.0.0:80").unwrap();
    assert_eq!(config.listen.public.port(), 80);
    assert_eq!(
        (config.listen.admin.port(), config.limits.ping.0.as_secs()),
        (1, 7)
    );
    assert_eq!(
        with("", "TAPECAST_SHARDS__COUNT", "3")
            .unwrap()
            .shards
            .count,
        3
    );
    assert_eq!(
        with("", "TAPECAST_CAPTURES", "/x").unwrap(),
        Config::default()
    );
    let error = with("", "TAPECAST_SHARDS__COUNTT", "3").unwrap_err();
    assert!(
        error.contains("TAPECAST_SHARDS__COUNTT") && error.contains("\"count\""),
        "{error}"
    );
}

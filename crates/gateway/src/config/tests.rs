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

/// A text is refused with one line that has all of these parts.
fn check(text: &str, parts: &[&str]) {
    let error = parse(text).unwrap_err();
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in parts {
        assert!(error.contains(part), "{error} lacks {part}");
    }
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

/// The keys of a section, as the program lists them where one is unknown; after `lines`.
fn keys_after(lines: &str) -> Vec<String> {
    let error = parse(&format!("{lines}\nno_such_key = 1")).unwrap_err();
    let list = error.split_once("(known: ").unwrap().1;
    list.trim_end_matches(')')
        .split(", ")
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_wrong_value_of_any_key_is_said_with_its_name_what_was_given_and_what_to_write() {
    let replay = "[[source]]\nkind = \"replay\"\nformat = \"okx\"\npath = \"x\"";
    let push = "[[source]]\nkind = \"push\"\nvenue = \"x\"\nlisten = \"127.0.0.1:1\"";
    let sim = "[[source]]\nkind = \"sim\"";
    let sections = [
        "",
        "[listen]",
        "[shards]",
        "[limits]",
        "[pipeline]",
        "[log]",
        sim,
        replay,
        push,
    ];
    let values = [
        "{ a = 1 }",
        "[[1]]",
        "-7",
        "\"§ nonsense\"",
        "true",
        "1.5",
        "1979-05-27",
    ];
    let (mut keys, mut refused) = (0, 0);
    for lines in sections {
        for key in keys_after(lines) {
            keys += 1;
            let mut said = 0;
            for value in values {
                // A key that the section needs is replaced, any other one is added.
                let mut text: String = lines
                    .lines()
                    .filter(|line| !line.starts_with(&format!("{key} = ")))
                    .map(|line| format!("{line}\n"))
                    .collect();
                match (lines, key.as_str()) {
                    ("", "source") => text = format!("source = {value}\n"),
                    _ => text.push_str(&format!("{key} = {value}\n")),
                }
                let Err(error) = parse(&text) else { continue };
                said += 1;
                assert_eq!(error.lines().count(), 1, "{error}");
                let name = if key == "source" {
                    "source"
                } else {
                    key.as_str()
                };
                assert!(error.contains(name), "{text}: {error} lacks the key");
                let given = value.trim_matches(['"', '{', '}', '[', ']', ' ']);
                // A table in the place of a section is judged by its keys.
                let judged = ["unknown key \"a\"", "symbols.a: 1", "a date"];
                let general = ["[[source]]", "[[1]]", judged[0], judged[1], judged[2]]
                    .iter()
                    .any(|general| error.contains(general));
                assert!(
                    error.contains(given) || general,
                    "{text}: {error} lacks {given}"
                );
                for rust in ["expected", "struct", "untagged", "usize", "u32", "invalid "] {
                    assert!(!error.contains(rust), "{text}: {error} says {rust}");
                }
            }
            assert!(
                said >= 3,
                "{lines} {key}: only {said} of the values are refused"
            );
            refused += said;
        }
    }
    assert!(
        keys > 55 && refused > 250,
        "{keys} keys, {refused} refused values"
    );
}

#[test]
fn a_value_out_of_bounds_is_said_with_its_line_what_was_given_and_what_to_write() {
    for (key, value, bounds) in [
        ("shards.count", "65", "0 to 64"),
        (
            "shards.ring_items",
            "9223372036854775807",
            "1024 to 16777216",
        ),
        ("shards.flush_interval", "\"1s\"", "to \"100ms\""),
        ("limits.connections_max", "0", "1 or more"),
        (
            "limits.handshakes_max",
            "9223372036854775807",
            "1 to 1000000",
        ),
        ("limits.handshakes_max", "0", "1 to 1000000"),
        ("limits.http_connections_max", "0", "1 or more"),
        ("limits.http_requests_per_address_per_s", "0", "1 or more"),
        (
            "limits.handshake_timeout",
            "\"9000000000h\"",
            "\"1ms\" to \"3600s\"",
        ),
        ("limits.heartbeat", "\"1ns\"", "\"1ms\" to \"3600s\""),
        ("limits.close_timeout", "\"100h\"", "to \"60s\""),
        (
            "limits.request_bytes_max",
            "9223372036854775807",
            "256 to 16777216",
        ),
        ("limits.outbox_bytes_max", "1", "65536 to"),
        (
            "pipeline.stale_after",
            "\"9000000000h\"",
            "to \"31536000s\"",
        ),
    ] {
        let (section, name) = key.split_once('.').unwrap();
        let said = format!("t.toml:4: {key}: ");
        check(
            &format!("[log]\n[{section}]\n# {name} = 1\n{name} = {value}\n"),
            &[&said, " is not allowed; write ", bounds],
        );
        let variable = format!(
            "TAPECAST_{}__{}",
            section.to_uppercase(),
            name.to_uppercase()
        );
        let error = with("[limits]\n", &variable, value).unwrap_err();
        assert!(
            error.starts_with(&format!("{variable}: {key}: ")),
            "{error}"
        );
    }
    check(
        "[limits]\n\nping = \"40s\"",
        &["t.toml:3: limits.ping: 40s", "limits.idle_timeout, 30s"],
    );
    check("limits.ping = \"40s\"", &["t.toml:1: limits.ping"]);
    check(
        "[limits]\nparked_bytes_max = 100000",
        &["t.toml:2", "100000", "outbox_bytes_max, 4194304"],
    );
    check(
        "[pipeline]\nevents = 5000",
        &["t.toml:2: pipeline.events: 5000", "at most 2048"],
    );
}

#[test]
fn texts_that_name_nothing_are_refused_with_their_line() {
    check("state_dir = \"\"", &["t.toml:1: state_dir", "a directory"]);
    for node in ["", "a\\nb", &"x".repeat(129)] {
        check(
            &format!("node = \"{node}\""),
            &["t.toml:1: node", "1 to 128 characters"],
        );
    }
    for (name, write) in [
        ("", "desk.example.com"),
        ("http://x/", "\"x\""),
        ("https://a.example.com:8080", "\"a.example.com\""),
        ("*.example.com", "list each name"),
        ("a..b", "desk.example.com"),
        ("a,b", "desk.example.com"),
        ("a b", "desk.example.com"),
    ] {
        check(
            &format!("[listen]\nallowed_hosts = [\"*\", \"{name}\"]"),
            &["t.toml:2: listen.allowed_hosts", name, write],
        );
    }
    let hosts = "[\"*\", \"tapecast\", \"Desk.example.com:8080\", \"10.0.0.1\", \"[::1]\"]";
    parse(&format!("[listen]\nallowed_hosts = {hosts}")).unwrap();
}

#[test]
fn sources_out_of_bounds_or_in_each_others_way_are_refused_by_number() {
    let sim = "[[source]]\nkind = \"sim\"\n";
    for (key, value, write) in [
        ("symbols", "0", "1 to 10000"),
        ("events_per_second", "1000001", "1 to 1000000"),
        ("venue", "\"A B\"", "lower-case"),
        ("stale_after", "\"1ns\"", "\"1ms\""),
    ] {
        check(
            &format!("{sim}{key} = {value}"),
            &["source 1: ", key, write],
        );
    }
    check(
        &format!("{sim}{sim}# another\nseed = 2\n"),
        &[
            "t.toml",
            "source 1: venue: \"sim\" is that of source 2 too",
            "another venue",
        ],
    );
    let push = "[[source]]\nkind = \"push\"\nlisten = \"127.0.0.1:0\"\nvenue = \"x\"\n";
    check(&format!("{push}symbols = []"), &["source 1: symbols: []"]);
    check(
        &format!("{push}symbols = [\"A\", \"B\", \"A\"]"),
        &["source 1: symbols: A is there twice"],
    );
    check(
        &format!("{sim}{push}symbols = [\"A\"]\n{push}symbols = [\"B\", \"A\"]"),
        &[
            "t.toml:6: source 2: venue: \"x\" is that of source 3",
            "both have A",
        ],
    );
    check(
        &format!("{push}{sim}venue = \"best\""),
        &["t.toml:7: source 2: venue", "write another"],
    );
    let replay = "[[source]]\nkind = \"replay\"\nformat = \"okx\"\npath = \"x\"\nspeed = ";
    for speed in ["0", "1e-300", "1e300", "inf", "nan"] {
        check(
            &format!("{replay}{speed}"),
            &["source 1: speed: ", "a millionth"],
        );
    }
}

#[test]
fn what_no_machine_could_use_is_refused_with_the_remedy() {
    check(
        "listen = 5",
        &["t.toml:1", "listen: 5", "a section of its own: [listen]"],
    );
    check(
        "[listen]\npublic = \"127.0.0.1:9000\"\nadmin = \"127.0.0.1:9000\"",
        &[
            "listen.admin",
            "127.0.0.1:9000",
            "listen.public",
            "its own port",
        ],
    );
    check(
        "[listen]\npublic = \"0.0.0.0:9000\"\nadmin = \"127.0.0.1:9000\"",
        &["listen.admin", "0.0.0.0:9000"],
    );
    check(
        "[listen]\npublic = \"[::]:9000\"\nadmin = \"127.0.0.1:9000\"",
        &["listen.admin", "[::]:9000"],
    );
    check(
        "[[source]]\nkind = \"push\"\nvenue = \"x\"\nlisten = \"127.0.0.1:8080\"",
        &["source 1: listen", "127.0.0.1:8080", "listen.public"],
    );
    for (origin, why) in [
        ("desk.example.com", "no scheme"),
        ("https://desk.example.com/", "more than scheme"),
        ("https://", "no host"),
        ("https://Desk.example.com", "lower case"),
        ("https://*.example.com", "list each host"),
        ("null", "many different pages"),
        ("ftp://x", "scheme"),
        ("wss://x", "scheme"),
        ("https://x:99999", "no host and port"),
        ("https://a..b", "letters, digits"),
    ] {
        check(
            &format!("[listen]\nallowed_origins = [\"https://a.b\", \"{origin}\"]"),
            &[
                "t.toml:2: listen.allowed_origins",
                origin,
                why,
                "https://desk.example.com",
            ],
        );
    }
    let origins = "[\"http://[::1]:8080\", \"chrome-extension://abc\", \"app://desk\", \"*\"]";
    parse(&format!("[listen]\nallowed_origins = {origins}")).unwrap();
    for filter in ["verbose", "info,chatty", "info=,=", ""] {
        check(
            &format!("[log]\nfilter = \"{filter}\""),
            &["log.filter", "info,tapecast_edge=debug"],
        );
    }
    for filter in [
        "info",
        "WARN",
        "off",
        "info,tapecast_edge=debug",
        "tapecast=debug,hyper=warn",
    ] {
        parse(&format!("[log]\nfilter = \"{filter}\"")).unwrap();
    }
    for listen in ["[::1]:9000", "[::]:9000", "0.0.0.0:0", "127.0.0.1:0"] {
        let text = format!("[listen]\npublic = \"{listen}\"\nadmin = \"127.0.0.1:9001\"");
        assert_eq!(parse(&text).unwrap().listen.public.to_string(), listen);
    }
}

#[test]
fn what_is_hardly_meant_is_doubted() {
    assert!(parse("").unwrap().doubts()[0].contains("[[source]]"));
    assert!(parse(DEFAULTS).unwrap().doubts().is_empty());
    let sim = "[[source]]\nkind = \"sim\"\n";
    for (text, doubt) in [
        (
            "[shards]\ncores = [1, 2, 1]\n",
            "shards.cores: 1 is there twice",
        ),
        (
            "[shards]\ncores = [1, 2]\n[pipeline]\ncore = 2\n",
            "pipeline.core: 2 is in shards.cores too",
        ),
        ("[log]\nfilter = \"trace\"\n", "log.filter: "),
        (
            "[log]\nfilter = \"info,tapecast_egde=debug\"\n",
            "log.filter: this program has no part \"tapecast_egde\"",
        ),
        (
            "[log]\nfilter = \"info,edge::shard=debug\"\n",
            "log.filter: this program has no part \"edge::shard\"",
        ),
        (
            "[listen]\nallowed_hosts = [\"Desk.example:80\"]\n",
            "listen.allowed_hosts: \"Desk.example:80\" names a port, which has no effect: all ports of \"desk.example\"",
        ),
    ] {
        let doubts = parse(&format!("{text}{sim}")).unwrap().doubts();
        assert!(
            doubts.len() == 1 && doubts[0].starts_with(doubt),
            "{doubts:?}"
        );
    }
    for text in [
        "[log]\nfilter = \"info,tapecast=debug,tapecast_edge::io=warn,tapecast_i=off,tapecast_wire\"\n",
        "[log]\nfilter = \"warn,tapecast_edge[span]=debug\"\n",
        "[listen]\nallowed_hosts = [\"*\", \"desk.example\", \"[::1]\"]\n",
    ] {
        let doubts = parse(&format!("{text}{sim}")).unwrap().doubts();
        assert!(doubts.is_empty(), "{doubts:?}");
    }
}

#[test]
fn errors_name_the_line_of_the_key_wherever_it_stands() {
    let replay = "[[source]]\nkind = \"replay\"\nformat = \"okx\"\npath = \"x\"\n";
    for (text, start) in [
        (format!("{replay}speed = 0\n"), "t.toml:5: source 1: speed"),
        (
            format!("{replay}sped = 1\n"),
            "t.toml:5: source 1: unknown key",
        ),
        (
            format!("{replay}{replay}\n[source.symbols]\nBTC = 1\n"),
            "t.toml:11: source 2: symbols.BTC",
        ),
        (
            "\n[log]\n# why\nfilter = \"loud\"\n".to_owned(),
            "t.toml:4: log.filter",
        ),
        (
            "[limits]\nidle_timeout = \"10s\"\n".to_owned(),
            "t.toml:2: limits.ping",
        ),
        (
            "[listen]\n\npublic = \"127.0.0.1:8081\"\n".to_owned(),
            "t.toml:3: listen.admin",
        ),
        (
            "[[source]]\nkind = \"push\"\nvenue = \"x\"\nlisten = \"127.0.0.1:8080\"\n".to_owned(),
            "t.toml:4: source 1: listen",
        ),
        (
            "source = [\n{ kind = \"sim\" },\n{ kind = \"sim\", venue = \"b\", seed = \"x\" }]\n"
                .to_owned(),
            "t.toml:3: source 2: seed",
        ),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.starts_with(start), "{error}");
    }
    let error = with(
        "[listen]\nadmin = \"127.0.0.1:9\"",
        "TAPECAST_LISTEN__PUBLIC",
        "127.0.0.1:9",
    );
    let error = error.unwrap_err();
    assert!(error.contains("listen.admin: 127.0.0.1:9 "), "{error}");
}

#[test]
fn a_key_in_a_wrong_place_is_told_where_it_belongs() {
    for (text, place) in [
        (
            "[[source]]\nkind = \"push\"\nvenue = \"x\"\npath = \"y\"\nlisten = \"127.0.0.1:1\"",
            "kind \"replay\"",
        ),
        (
            "[[source]]\nkind = \"sim\"\nprice_scale = 2",
            "kind \"push\"",
        ),
        ("[[source]]\nkind = \"sim\"\nping = \"1s\"", "[limits]"),
        ("public = \"127.0.0.1:1\"", "belongs to [listen]"),
        ("[limits]\npublic = \"127.0.0.1:1\"", "belongs to [listen]"),
        ("[limits]\nstate_dir = \"/x\"", "above the first [section]"),
        ("[limits]\nlog = 1", "write [log]"),
        ("[limits]\nsource = 1", "write [[source]]"),
        ("seed = 1", "kind \"sim\""),
    ] {
        check(text, &["t.toml:", "unknown key", place, "(known: "]);
    }
}

#[test]
fn scales_outside_their_range_are_told_the_range() {
    let push = "[[source]]\nkind = \"push\"\nvenue = \"x\"\nlisten = \"127.0.0.1:9000\"\n";
    for key in ["price_scale", "qty_scale"] {
        for digits in ["-1", "19", "300"] {
            check(
                &format!("{push}{key} = {digits}"),
                &[&format!("t.toml:5: source 1: {key}: {digits}"), "0 to 18"],
            );
        }
        parse(&format!("{push}{key} = 18")).unwrap();
    }
}

#[test]
fn lists_and_texts_are_asked_for_with_what_they_may_hold() {
    let push = "[[source]]\nkind = \"push\"\nvenue = \"x\"\nlisten = 9000\n";
    check(
        push,
        &["t.toml:4: source 1: listen: 9000", "\"127.0.0.1:8080\""],
    );
    for (text, write) in [
        ("[listen]\npublic = 8080", "\"127.0.0.1:8080\""),
        ("[limits]\nping = 5", "a duration in quotes, such as \"5s\""),
        ("[pipeline]\nstale_after = 5", "such as \"5s\""),
        ("[listen]\nallowed_hosts = \"x\"", "[\"desk.example.com\"]"),
        (
            "[listen]\nallowed_origins = \"x\"",
            "[\"https://desk.example.com\"]",
        ),
        ("[shards]\ncores = 1", "[1, 2]"),
    ] {
        check(text, &["t.toml:2", write]);
    }
}

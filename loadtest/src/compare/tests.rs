//! Comparisons of made-up results: what is refused, what is noise, and what is not.

use super::*;
use serde_json::json;

fn sample(values: &[Value]) -> Sample {
    Sample {
        path: "x.json".into(),
        figures: &RUN,
        groups: BTreeMap::from([(String::new(), values.to_vec())]),
        parameters: values[0].get("scenario").cloned().unwrap_or_default(),
    }
}

fn p99s(values: &[f64]) -> Sample {
    let run = |p99: &f64| json!({"latency_us": {"p99": p99}, "integrity": {"gaps": 0}});
    sample(&values.iter().map(run).collect::<Vec<_>>())
}

fn compared(a: &Sample, b: &Sample) -> Comparison {
    let mut comparison = Comparison {
        text: String::new(),
        worse: 0,
    };
    comparison.add(a, b, "B");
    comparison
}

#[test]
fn ratios_and_verdicts_stand_beside_the_figures() {
    let comparison = compared(&p99s(&[1_000.0]), &p99s(&[1_500.0]));
    let text = &comparison.text;
    let line = text.lines().find(|l| l.starts_with("p99 us")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        words,
        ["p99", "us", "1000", "1500", "1.500", "10%", "WORSE"]
    );
    assert!(text.contains("gaps") && !text.contains("p50"));
    assert_eq!(comparison.worse, 1);
}

#[test]
fn figures_are_in_the_unit_that_their_name_says() {
    let of = |bytes: f64| {
        sample(&[
            json!({"traffic": {"bytes_per_s": bytes}, "server": {"rss_per_connection": bytes}}),
        ])
    };
    let text = compared(&of(18_834_000.0), &of(37_668_000.0)).text;
    let line = |name: &str| {
        let line = text.lines().find(|l| l.starts_with(name)).unwrap();
        line.strip_prefix(name)
            .unwrap()
            .split_whitespace()
            .take(3)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("MB/s"), "18.8 37.7 2.000");
    assert_eq!(line("rss per connection B"), "18834000 37668000 2.000");
}

#[test]
fn single_runs_are_given_a_tenth_and_repeats_what_they_scatter() {
    let worse = |a: &[f64], b: &[f64]| compared(&p99s(a), &p99s(b)).worse;
    assert_eq!(worse(&[100.0], &[109.0]), 0);
    assert_eq!(worse(&[100.0], &[111.0]), 1);
    // Quiet repeats: five per cent is a difference.
    assert_eq!(worse(&[100.0, 100.5, 101.0], &[105.0, 105.5, 106.0]), 1);
    // Noisy ones: thirty per cent is none.
    assert_eq!(worse(&[80.0, 100.0, 140.0], &[90.0, 130.0, 150.0]), 0);
}

#[test]
fn less_may_be_better_and_more_may_be() {
    assert_eq!(verdict(100.0, 111.0, 0.1, Better::More), "better");
    assert_eq!(verdict(100.0, 89.0, 0.1, Better::More), "WORSE");
    assert_eq!(verdict(0.0, 1.0, 0.1, Better::Less), "WORSE");
    assert_eq!(verdict(100.0, 200.0, 0.1, Better::Neither), "");
}

#[test]
fn other_parameters_are_refused_by_name_unless_allowed() {
    let of = |clients: u32| sample(&[json!({"scenario": {"clients": clients, "rate": 1}})]);
    let (a, b) = (of(5), of(6));
    assert!(a.allows(&of(5), false).is_ok());
    let refusal = a.allows(&b, false).unwrap_err().to_string();
    assert!(refusal.contains("clients is 5 and 6"), "{refusal}");
    assert!(refusal.contains("--allow-different"), "{refusal}");
    assert!(a.allows(&b, true).is_ok());
    let text = compared(&a, &b).text;
    assert!(
        text.contains("not the same scenario: clients is 5 and 6"),
        "{text}"
    );
}

#[test]
fn a_harness_that_was_the_bottleneck_is_said_aloud() {
    let limited = json!({"clean": false, "failures": ["3 gaps"], "harness_limited": true,
                         "harness_limited_reasons": ["it was busy"]});
    let fine = json!({"clean": true, "harness_limited": false});
    let text = sample(&[fine, limited]).warnings("A");
    assert!(text.contains("A WAS NOT CLEAN (1 of 2): 3 gaps"), "{text}");
    assert!(
        text.contains("LIMITED BY THE HARNESS") && text.contains("it was busy"),
        "{text}"
    );
}

#[test]
fn what_is_no_result_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.json");
    let error = compare(std::slice::from_ref(&file), false).unwrap_err();
    assert!(error.to_string().starts_with("cannot read "));
    std::fs::write(&file, "{}").unwrap();
    let error = compare(std::slice::from_ref(&file), false).unwrap_err();
    assert!(
        error.to_string().contains("x.json is not a result"),
        "{error}"
    );
}

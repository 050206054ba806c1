use super::*;
use crate::telemetry::{Exposition, Metrics};

/// The lines of plugins' own metrics.
fn lines(metrics: &Metrics) -> Vec<String> {
    let text = metrics.encode(Exposition::Prometheus);
    let own = |line: &&str| {
        line.contains("gofe_plugin_")
            && !families::OWN.iter().any(|(name, _)| line.contains(&format!("gofe_plugin_{name}")))
    };
    text.lines().filter(own).map(str::to_owned).collect()
}

#[test]
fn a_counter_has_the_plugins_name_and_labels() {
    let metrics = Metrics::new(1);
    let custom = metrics.custom("tenant");
    custom.add("lookups", &[("result", "hit"), ("zone", "eu")], 2).unwrap();
    custom.add("lookups", &[("zone", "eu"), ("result", "hit")], 3).unwrap();
    custom.add("lookups", &[("zone", "eu"), ("result", "miss")], 1).unwrap();
    let expected = [
        "# HELP gofe_plugin_lookups_total A counter that plugins keep.",
        "# TYPE gofe_plugin_lookups_total counter",
        r#"gofe_plugin_lookups_total{plugin="tenant",result="hit",zone="eu"} 5"#,
        r#"gofe_plugin_lookups_total{plugin="tenant",result="miss",zone="eu"} 1"#,
    ];
    assert_eq!(lines(&metrics), expected);
}

#[test]
fn a_gauge_keeps_its_last_value() {
    let metrics = Metrics::new(1);
    let custom = metrics.custom("tenant");
    custom.set("queue", &[], 3.5).unwrap();
    custom.set("queue", &[], -2.0).unwrap();
    assert_eq!(lines(&metrics)[2], r#"gofe_plugin_queue{plugin="tenant"} -2.0"#);
}

#[test]
fn a_histogram_has_the_proxys_buckets() {
    let metrics = Metrics::new(1);
    let custom = metrics.custom("tenant");
    for value in [0.003, 0.2, 60.0] {
        custom.observe("lookup_seconds", &[], value).unwrap();
    }
    let lines = lines(&metrics);
    for line in [
        r#"gofe_plugin_lookup_seconds_count{plugin="tenant"} 3"#,
        r#"gofe_plugin_lookup_seconds_bucket{le="0.005",plugin="tenant"} 1"#,
        r#"gofe_plugin_lookup_seconds_bucket{le="10.0",plugin="tenant"} 2"#,
        r#"gofe_plugin_lookup_seconds_bucket{le="+Inf",plugin="tenant"} 3"#,
    ] {
        assert!(lines.iter().any(|l| l == line), "{line} in {lines:#?}");
    }
}

#[test]
fn two_plugins_share_a_family() {
    let metrics = Metrics::new(1);
    let (a, b) = (metrics.custom("a"), metrics.custom("b"));
    b.add("hits", &[], 1).unwrap();
    a.add("hits", &[("kind", "x")], 1).unwrap();
    assert_eq!(
        lines(&metrics)[1..],
        [
            "# TYPE gofe_plugin_hits_total counter",
            r#"gofe_plugin_hits_total{plugin="a",kind="x"} 1"#,
            r#"gofe_plugin_hits_total{plugin="b"} 1"#,
        ]
    );
}

#[test]
fn a_name_has_one_kind_and_one_set_of_labels() {
    let metrics = Metrics::new(1);
    let (custom, other) = (metrics.custom("a"), metrics.custom("b"));
    custom.add("hits", &[("kind", "x")], 1).unwrap();
    assert_eq!(custom.set("hits", &[("kind", "x")], 1.0), Err(CustomError::Invalid));
    assert_eq!(custom.set("hits", &[("kind", "y")], 1.0), Err(CustomError::Invalid));
    assert_eq!(custom.add("hits", &[], 1), Err(CustomError::Invalid));
    assert_eq!(custom.add("hits", &[("other", "x")], 1), Err(CustomError::Invalid));
    assert_eq!(other.observe("hits", &[], 1.0), Err(CustomError::Invalid));
    assert_eq!(lines(&metrics).len(), 3);
}

#[test]
fn a_name_that_is_free_again_may_have_another_kind() {
    let metrics = Metrics::new(1);
    metrics.custom("a").add("hits", &[], 1).unwrap();
    metrics.sweep();
    metrics.custom("b").set("hits", &[], 1.0).unwrap();
}

#[test]
fn no_name_means_two_things() {
    let metrics = Metrics::new(1);
    let custom = metrics.custom("a");
    for own in ["calls", "faults", "seconds"] {
        assert_eq!(custom.add(own, &[], 1), Err(CustomError::Invalid), "{own}");
    }
    for own in ["calls_total", "instances", "memory_bytes", "seconds"] {
        assert_eq!(custom.set(own, &[], 1.0), Err(CustomError::Invalid), "{own}");
    }
    custom.observe("wait", &[], 1.0).unwrap();
    for taken in ["wait_sum", "wait_count", "wait_bucket"] {
        assert_eq!(custom.set(taken, &[], 1.0), Err(CustomError::Invalid), "{taken}");
    }
    custom.set("open_count", &[], 1.0).unwrap();
    assert_eq!(custom.observe("open", &[], 1.0), Err(CustomError::Invalid));
}

#[test]
fn names_and_values_out_of_form_are_refused() {
    let metrics = Metrics::new(1);
    let custom = metrics.custom("a");
    let long = "x".repeat(300);
    for name in ["", "1st", "a-b", "a b", "é", "a\n", "a:b", &long] {
        assert_eq!(custom.add(name, &[], 1), Err(CustomError::Invalid), "{name:?}");
    }
    for label in ["", "a-b", "plugin", "le", "__name__", "é", "2"] {
        assert_eq!(custom.add("hits", &[(label, "x")], 1), Err(CustomError::Invalid), "{label:?}");
    }
    assert_eq!(custom.add("hits", &[("a", "x"), ("a", "y")], 1), Err(CustomError::Invalid));
    assert_eq!(custom.add("hits", &[("a", &long)], 1), Err(CustomError::Invalid));
    assert_eq!(custom.add("hits", &[("a", "x"); 17], 1), Err(CustomError::Invalid));
    assert_eq!(custom.observe("wait", &[], f64::NAN), Err(CustomError::Invalid));
    assert_eq!(custom.observe("wait", &[], f64::INFINITY), Err(CustomError::Invalid));
    assert!(lines(&metrics).is_empty());
}

#[test]
fn label_values_may_hold_anything() {
    let metrics = Metrics::new(1);
    let custom = metrics.custom("a");
    custom.add("hits", &[("v", "a\"b\\c\nd")], 1).unwrap();
    assert_eq!(lines(&metrics)[2], r#"gofe_plugin_hits_total{plugin="a",v="a\"b\\c\nd"} 1"#);
}

#[test]
fn a_plugin_has_a_thousand_series_and_others_keep_theirs() {
    let metrics = Metrics::new(1);
    let (greedy, modest) = (metrics.custom("greedy"), metrics.custom("modest"));
    for user in 0..1_000 {
        greedy.add("hits", &[("user", &user.to_string())], 1).unwrap();
    }
    assert_eq!(greedy.add("hits", &[("user", "1000")], 1), Err(CustomError::TooMany));
    assert_eq!(greedy.set("other", &[], 1.0), Err(CustomError::TooMany));
    greedy.add("hits", &[("user", "7")], 1).unwrap();
    modest.add("hits", &[("user", "1000")], 1).unwrap();
    modest.set("other", &[], 1.0).unwrap();
}

#[test]
fn concurrent_values_all_count() {
    let metrics = Metrics::new(4);
    let custom = metrics.custom("a");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    custom.add("hits", &[("k", "v")], 1).unwrap();
                    custom.observe("wait", &[], 0.5).unwrap();
                }
            });
        }
    });
    let lines = lines(&metrics);
    assert!(lines.contains(&r#"gofe_plugin_hits_total{plugin="a",k="v"} 2000"#.to_owned()));
    assert!(lines.contains(&r#"gofe_plugin_wait_sum{plugin="a"} 1000.0"#.to_owned()));
}

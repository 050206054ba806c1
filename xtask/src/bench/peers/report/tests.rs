use super::*;

fn machine() -> Machine {
    Machine { cpu: "A <CPU>".into(), cpus: 2, kernel: "6.18".into(), system: "Debian".into() }
}

fn row(subject: Subject, workers: usize, costs: &[f64]) -> Row {
    let mut row = Row::new(subject, workers);
    for cost in costs {
        let figures = Figures::from([(CPU.to_owned(), *cost), ("requests_per_second".to_owned(), 81_091.4)]);
        row.add(Sample { figures, failed: 0, requests: 10 });
    }
    row
}

fn measured(scenario: Scenario, rows: Vec<Row>) -> Measured {
    Measured {
        scenario: scenario.name(),
        date: "2026-11-24".into(),
        command: "cargo xtask bench peers".into(),
        machine: machine(),
        versions: BTreeMap::from([("nginx".into(), "1.22.1".into())]),
        rows,
    }
}

fn throughput() -> Measured {
    let mut refused = row(Subject::Caddy, 1, &[50.0]);
    refused.add(Sample { figures: Figures::new(), failed: 3, requests: 10 });
    measured(
        Scenario::Throughput,
        vec![
            row(Subject::Nginx, 1, &[12.0, 10.0, 11.0]),
            row(Subject::Envoy, 1, &[20.0, 24.0, 22.0]),
            row(Subject::EnvoyWasm1, 1, &[24.0, 28.0, 27.0]),
            row(Subject::Gofe, 1, &[16.0, 13.0, 14.0]),
            row(Subject::GofeWasm1, 1, &[17.0, 14.0, 15.5]),
            refused,
        ],
    )
}

#[test]
fn figures_are_medians_and_ratios_are_to_nginx_and_envoy() {
    let text = table(&throughput()).text();
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines[1], ["nginx", "11.0", "81,091", "1.00", "0.50"]);
    assert_eq!(lines[4], ["gofe", "14.0", "81,091", "1.27", "0.64"]);
}

#[test]
fn a_failed_request_takes_the_figures_from_its_row_and_is_named() {
    let measured = throughput();
    assert_eq!(measured.rows[5].error.as_deref(), Some("3 of 10 requests failed"));
    assert!(table(&measured).text().lines().any(|line| line.split_whitespace().eq(["caddy", "error"])));
    assert!(page::markdown(&[measured]).contains("`caddy`: 3 of 10 requests failed."));
}

#[test]
fn a_filters_cost_is_the_median_difference_within_rounds() {
    let text = marginal(&throughput()).text();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].starts_with("gofe, a plugin") && lines[1].ends_with("1.00     0.25"), "{text}");
    assert!(lines[2].starts_with("Envoy, a proxy-wasm filter") && lines[2].ends_with("4.00     1.00"), "{text}");
}

#[test]
fn a_machine_that_is_not_quiet_is_seen() {
    let mut measured = throughput();
    assert_eq!(measured.others_percent(), None);
    for (row, percent) in measured.rows.iter_mut().zip([1.0, 34.4, 0.0]) {
        row.rounds[0].insert(OTHERS.into(), percent);
    }
    assert_eq!(measured.others_percent(), Some(34.4));
    assert!(page::markdown(&[measured]).contains("at most 34 % of the proxy's processor"));
}

#[test]
fn two_workers_are_compared_with_one() {
    let rows = vec![row(Subject::Gofe, 1, &[15.0]), row(Subject::Gofe, 2, &[16.0])];
    let mut scaling = measured(Scenario::Scaling, rows);
    scaling.add_speedups();
    assert_eq!(scaling.rows[1].medians[SPEEDUP], 1.875);
    assert!(table(&scaling).text().contains("gofe, 2 workers"));
}

#[test]
fn a_new_measurement_takes_the_place_of_the_old_and_the_rest_stays() {
    let mut report = Report::default();
    report.merge(&[measured(Scenario::Scaling, Vec::new()), throughput()]);
    let mut newer = throughput();
    newer.date = "2026-12-01".into();
    report.merge(&[newer]);
    let text = serde_json::to_string(&report).unwrap();
    let read: Report = serde_json::from_str(&text).unwrap();
    let all: Vec<_> = read.scenarios.iter().map(|one| (one.scenario.as_str(), one.date.as_str())).collect();
    assert_eq!(all, [("throughput", "2026-12-01"), ("scaling", "2026-11-24")]);
}

#[test]
fn the_plot_has_a_bar_for_each_row_with_figures_cheapest_first() {
    let svg = plot::svg(&[throughput()]);
    assert_eq!(svg.matches("<rect").count(), 5);
    assert!(svg.find(">nginx<").unwrap() < svg.find(">gofe<").unwrap() && svg.contains("A &lt;CPU&gt;"));
    assert!(svg.contains("27.0 (2.45 ×)"));
}

//! The dashboard and the alerts, judged by a real Prometheus and its promtool.

mod dashboard;

use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use dashboard::{
    catalogue::Catalogue,
    promql::Names,
    yaml::{self, UnitTests},
};
use serde_json::Value;
use xtask::{
    dashboard::{Dashboard, Panel, Prometheus, Variables, file, model},
    lab::{
        Daemon, HttpServer, Lab, Routed, RoutedOptions,
        build::workspace,
        command,
        daemon::LISTEN,
        http::{self, Patience},
        routed::{GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER_V4, SERVER_V6},
    },
};

/// How long something may take on a machine that builds at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tells where it stands, then what was expected.
macro_rules! ensure_at {
    ($place:expr, $($condition:tt)+) => {
        assert!($($condition)+, "{}: {}", $place, stringify!($($condition)+))
    };
}

fn load() -> Result<Dashboard> {
    Dashboard::load(&file("captured.json"))
}

fn variables(instance: &str) -> Variables {
    Variables {
        instance: instance.to_owned(),
        interface: ".*".to_owned(),
        interval: "1m".to_owned(),
        range: "1h".to_owned(),
    }
}

fn promtool(arguments: &[&str], name: &str) -> Result<String> {
    command::run(Command::new("promtool").args(arguments).arg(file(name)), b"")
}

#[test]
fn panels_stand_side_by_side() {
    let panels = load().unwrap().panels;
    for (number, panel) in panels.iter().enumerate() {
        let place = panel.grid_pos;
        ensure_at!(panel.title, place.w > 0 && place.h > 0);
        ensure_at!(panel.title, place.x + place.w <= model::COLUMNS);
        for other in &panels[..number] {
            let overlap = place.overlaps(&other.grid_pos);
            assert!(!overlap, "\"{}\" overlaps \"{}\"", panel.title, other.title);
            assert_ne!(panel.id, other.id, "\"{}\" and \"{}\"", panel.title, other.title);
        }
    }
}

#[test]
fn rows_go_from_the_overview_to_the_details() {
    let dashboard = load().unwrap();
    assert_eq!((dashboard.uid.as_str(), dashboard.schema_version), ("captured", 39));
    let rows: Vec<_> = dashboard.panels.iter().filter(|panel| panel.is_row()).collect();
    let titles: Vec<_> = rows.iter().map(|row| row.title.as_str()).collect();
    let expected = ["Overview", "Losses", "TCP trouble", "Flows", "ICMP", "Segments and daemon"];
    assert_eq!(titles, expected);
    assert!(rows.is_sorted_by_key(|row| row.grid_pos.y));
    // The first line under the first header is what an engineer on call sees first.
    let first: Vec<_> = dashboard.panels.iter().filter(|panel| panel.grid_pos.y == 1).collect();
    assert!(first.iter().all(|panel| panel.kind == "stat"));
    assert_eq!(first.iter().map(|panel| panel.grid_pos.w).sum::<u32>(), model::COLUMNS);
}

#[test]
fn each_panel_says_what_it_shows() {
    for panel in load().unwrap().panels.iter().filter(|panel| !panel.is_row()) {
        let title = &panel.title;
        ensure_at!(title, !title.is_empty() && panel.description.len() > 30);
        ensure_at!(title, matches!(panel.kind.as_str(), "stat" | "timeseries" | "table"));
        let source = panel.datasource.as_ref().expect(title);
        ensure_at!(title, source.kind == "prometheus" && source.uid == "${datasource}");
        ensure_at!(title, !panel.targets.is_empty());
        let references: BTreeSet<_> = panel.targets.iter().map(|t| &t.ref_id).collect();
        ensure_at!(title, references.len() == panel.targets.len());
        for target in &panel.targets {
            ensure_at!(title, target.datasource.uid == "${datasource}");
            ensure_ranges_follow_the_view(title, &target.expr);
            for label in labels(&target.legend_format) {
                ensure_at!(format!("{title}, label {label}"), target.expr.contains(label));
            }
        }
        ensure_at!(title, panel.field_config["defaults"]["unit"].is_string());
        let columns = columns(panel);
        ensure_at!(title, columns.is_empty() == (panel.kind != "table"));
        for column in columns {
            ensure_at!(format!("{title}, column {column}"), is_made(panel, &column));
        }
    }
}

/// Rates over `$__rate_interval`, totals over `$__range`: never a fixed time, which hides peaks
/// when zoomed out and is empty when scrapes are rare.
fn ensure_ranges_follow_the_view(title: &str, expr: &str) {
    for range in expr.split('[').skip(1) {
        let follows = ["$__rate_interval]", "$__range]"].iter().any(|r| range.starts_with(r));
        ensure_at!(title, follows);
    }
}

/// Labels in a legend.
fn labels(legend: &str) -> impl Iterator<Item = &str> {
    legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next())
}

/// Columns that a table picks out of the answers.
fn columns(panel: &Panel) -> Vec<String> {
    let picks = panel.transformations.iter().filter(|t| t["id"] == "filterFieldsByName");
    let names = picks.filter_map(|t| t["options"]["include"]["names"].as_array()).flatten();
    names.filter_map(|name| name.as_str()).map(str::to_owned).collect()
}

/// Does a query of the panel give this column: a value or a label?
fn is_made(panel: &Panel, column: &str) -> bool {
    match column.strip_prefix("Value") {
        Some("") => panel.targets.len() == 1,
        Some(of) => panel.targets.iter().any(|t| of.strip_prefix(" #") == Some(&t.ref_id)),
        None => panel.targets.iter().any(|t| t.expr.contains(column)),
    }
}

#[test]
fn the_user_chooses_source_instance_and_interfaces() {
    let variables = load().unwrap().templating.list;
    let of = |name| variables.iter().find(|variable| variable.name == name).expect(name);
    assert_eq!(of("datasource").kind, "datasource");
    let instance = of("instance").definition.as_deref().and_then(model::label_values);
    assert_eq!(instance, Some(("capture_build_info", "instance")));
    let interface = of("interface");
    let (selector, label) = interface.definition.as_deref().and_then(model::label_values).unwrap();
    assert!(selector.contains("$instance"), "{selector}");
    assert_eq!(label, "interface");
    assert!(interface.multi && interface.include_all);
    // A question to the user at import that the data source variable answers already.
    let text = std::fs::read_to_string(file("captured.json")).unwrap();
    assert!(!text.contains("__inputs"));
}

#[test]
fn promtool_accepts_configuration_and_rules() {
    promtool(&["check", "config"], "prometheus.yml").unwrap();
    let found = promtool(&["check", "rules", "--lint=all", "--lint-fatal"], "alerts.yml").unwrap();
    assert!(found.contains("rules found"), "{found}");
    let config: Value = yaml::read(&file("prometheus.yml")).unwrap();
    let job = &config["scrape_configs"][0];
    assert_eq!(job["job_name"], "captured");
    assert_eq!(job["static_configs"][0]["targets"][0], LISTEN);
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    promtool(&["test", "rules"], "alerts_test.yml").unwrap();
}

#[test]
fn each_alert_is_tested_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let config = yaml::hasten(directory.path(), Some(&[])).unwrap();
    let rules = Prometheus::start(&config, None).unwrap().rules().unwrap();
    let tests: UnitTests = yaml::read(&file("alerts_test.yml")).unwrap();
    let mut cases = tests.cases();
    let catalogue = Catalogue::of(&dashboard::idle::metrics().unwrap());
    let guide = std::fs::read_to_string(workspace().join("docs/dashboard.md")).unwrap();
    for rule in &rules {
        let name = rule.name.as_str();
        let [firing, quiet] = cases.remove(name).expect(name);
        ensure_at!(name, guide.contains(&format!("| `{name}` |")));
        ensure_at!(name, firing > 0 && quiet > 0);
        or_panic(name, catalogue.check(&rule.query));
        let severity = rule.labels.get("severity").map(String::as_str);
        ensure_at!(name, matches!(severity, Some("critical" | "warning" | "info")));
        ensure_at!(name, rule.annotations.get("summary").is_some_and(|text| text.len() > 20));
        ensure_at!(name, rule.annotations.get("description").is_some_and(|text| text.len() > 80));
    }
    assert!(rules.len() >= 15 && cases.is_empty(), "tests without a rule: {:?}", cases.keys());
}

#[test]
fn every_query_names_what_the_daemon_exports() {
    let catalogue = Catalogue::of(&dashboard::idle::metrics().unwrap());
    for query in load().unwrap().queries() {
        let expr = variables("gw:9411").substitute(&query.expr).unwrap();
        or_panic(&query.place, catalogue.check(&expr));
    }
}

#[test]
fn every_query_is_promql() {
    let directory = tempfile::tempdir().unwrap();
    let config = yaml::hasten(directory.path(), Some(&[])).unwrap();
    let prometheus = Prometheus::start(&config, None).unwrap();
    let queries = load().unwrap().queries();
    assert!(queries.len() > 60);
    for query in queries {
        let expr = variables("gw:9411").substitute(&query.expr).unwrap();
        or_panic(&query.place, prometheus.query(&expr));
    }
}

/// Everything at once, as it will be used: the daemon on a gateway that forwards real traffic, and
/// a Prometheus beside it with the configuration that we ship.
#[test]
fn every_panel_and_alert_works_on_a_live_daemon() {
    let lab = Lab::routed(&RoutedOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let segments = directory.path().join("segments");
    let segments = segments.to_str().unwrap();
    let daemon = Daemon::start(
        &lab.gateway,
        &["-i", GATEWAY_OUTSIDE, "-i", GATEWAY_INSIDE, "-G", "1", "-w", segments],
    )
    .unwrap();
    let config = yaml::hasten(directory.path(), None).unwrap();
    let mut prometheus = Prometheus::start(&config, Some(&lab.gateway)).unwrap();
    prometheus.wait_for("up{job=\"captured\"} == 1", PATIENCE).unwrap();
    make_traffic(&lab, directory.path()).unwrap();
    // Also that the segment is closed and seen.
    let written = "sum(rate(capture_written_frames_total[1m])) > 0 \
                   and sum(capture_oldest_frame_timestamp_seconds) > 0";
    prometheus.wait_for(written, PATIENCE).unwrap();

    let catalogue = Catalogue::of(&daemon.metrics().unwrap());
    ensure_panels(&prometheus, &catalogue);
    ensure_alerts(&prometheus, &catalogue);
    ensure_choices(&prometheus).unwrap();
    daemon.stop().unwrap();
}

/// Each query of the dashboard names what exists, and gives data unless it filters.
fn ensure_panels(prometheus: &Prometheus<'_>, catalogue: &Catalogue) {
    for query in or_panic("dashboard", load()).queries() {
        let place = query.place;
        let expr = or_panic(&place, variables(LISTEN).substitute(&query.expr));
        let names = or_panic(&place, catalogue.check(&expr));
        let answer = or_panic(&place, prometheus.query(&expr));
        assert!(names.filters || !answer.is_empty(), "{place}: no data: {expr}");
        ensure_counted(prometheus, &place, &names);
    }
}

/// Each alert names what exists and can be evaluated.
fn ensure_alerts(prometheus: &Prometheus<'_>, catalogue: &Catalogue) {
    or_panic("alerts", prometheus.wait_for_rules(PATIENCE));
    for rule in or_panic("alerts", prometheus.rules()) {
        let name = rule.name;
        assert_eq!((rule.health.as_str(), rule.last_error.as_str()), ("ok", ""), "{name}");
        let names = or_panic(&name, catalogue.check(&rule.query));
        or_panic(&name, prometheus.query(&rule.query));
        ensure_counted(prometheus, &name, &names);
    }
}

/// The value, or a panic that says where it should have been.
fn or_panic<T>(place: &str, result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{place}: {error:#}"))
}

/// A page and pings in both versions of IP, so that nothing is at a standstill.
fn make_traffic(lab: &Routed, directory: &Path) -> Result<()> {
    http::write_site(directory, 1)?;
    let server = HttpServer::start(&lab.server, directory, 80)?;
    let url = format!("http://{SERVER_V4}:{}/{}", server.port(), http::BIG_FILE);
    let transfer = http::get(&lab.client, &url, Patience::default())?;
    ensure!(transfer.status == 200, "{:?}", transfer.error);
    for address in [SERVER_V4.to_string(), SERVER_V6.to_string()] {
        lab.client.run(&["ping", "-q", "-c", "3", "-i", "0.2", &address])?;
    }
    Ok(())
}

/// Counters are there from the start with all their labels, so a selector that finds none has a
/// label value that there is not.
fn ensure_counted(prometheus: &Prometheus<'_>, place: &str, names: &Names) {
    for selector in names.selectors.iter().filter(|s| s.metric.ends_with("_total")) {
        let found = or_panic(place, prometheus.series(&selector.text));
        assert!(!found.is_empty(), "{place}: nothing matches {}", selector.text);
    }
}

/// What the user is offered in the drop-down lists.
fn ensure_choices(prometheus: &Prometheus<'_>) -> Result<()> {
    let offered = |name: &str| -> Result<BTreeSet<String>> {
        let list = load()?.templating.list;
        let definition = list.into_iter().find(|v| v.name == name).and_then(|v| v.definition);
        let definition = definition.with_context(|| format!("no variable {name}"))?;
        let (selector, label) = model::label_values(&definition).context("not label_values")?;
        let series = prometheus.series(&variables(LISTEN).substitute(selector)?)?;
        Ok(series.into_iter().filter_map(|mut labels| labels.remove(label)).collect())
    };
    ensure!(offered("instance")? == BTreeSet::from([LISTEN.to_owned()]));
    let interfaces = [GATEWAY_OUTSIDE, GATEWAY_INSIDE].map(str::to_owned);
    ensure!(offered("interface")? == BTreeSet::from(interfaces));
    Ok(())
}

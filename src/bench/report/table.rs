//! The report as people read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::super::floor::Floors;
use super::super::measure::{Class, Figures, Latency};
use super::super::stage::Backend;
use super::{Finding, Round, Row, target};

/// Of several rounds, the one with the median of this figure stands for all.
fn median_by(mut rows: Vec<&Row>) -> Option<&Row> {
    let figure = |row: &Row| {
        row.figures
            .all
            .completed_per_s
            .max(row.figures.all.accepted_per_s)
    };
    rows.sort_by(|one, other| figure(one).total_cmp(&figure(other)));
    rows.get(rows.len() / 2).copied()
}

/// Floors, rows and targets, database by database; rounds that count, or, without any, all.
pub(super) fn render(rounds: &[Round]) -> String {
    let mut text = String::new();
    for database in [Backend::Sqlite, Backend::Postgres] {
        let all: Vec<&Round> = rounds
            .iter()
            .filter(|round| round.database == database)
            .collect();
        let mut counting: Vec<&Round> = all.iter().copied().filter(|r| !r.is_discarded()).collect();
        for round in all.iter().filter(|round| round.is_discarded()) {
            let floors = round
                .floors_before
                .as_ref()
                .zip(round.floors_after.as_ref());
            let percent = floors.map_or(0.0, |(before, after)| before.difference(after) * 100.0);
            let _ = writeln!(
                text,
                "\nRound {} on {} is discarded: its floors before and after differ by {percent:.0} %.",
                round.number,
                database.name()
            );
        }
        if counting.is_empty() {
            counting.clone_from(&all);
        }
        if !counting.is_empty() {
            of_database(&mut text, database, &counting);
        }
    }
    text
}

fn of_database(text: &mut String, database: Backend, rounds: &[&Round]) {
    let _ = writeln!(text, "\n{}", database.name());
    for round in rounds {
        if let Some(floors) = round.floors() {
            let _ = writeln!(
                text,
                "  floors of round {}: {}",
                round.number,
                floors_line(&floors)
            );
        }
    }
    let base = rounds
        .iter()
        .find_map(|round| round.floors())
        .map(|floors| floors.base());
    let mut labels: Vec<(_, &str)> = Vec::new();
    for row in rounds.iter().flat_map(|round| &round.rows) {
        let key = (row.workload, row.label.as_str());
        if !labels.contains(&key) {
            labels.push(key);
        }
    }
    let mut table = rows_table();
    for key in labels {
        let same = rounds.iter().flat_map(|round| &round.rows);
        let same = same.filter(|row| (row.workload, row.label.as_str()) == key);
        if let Some(row) = median_by(same.collect()) {
            add_row(&mut table, row, base);
        }
    }
    if table.row_count() > 0 {
        let _ = writeln!(text, "\n{}", table.trim_fmt());
    }
    let targets = targets_table(rounds);
    if targets.row_count() > 0 {
        let _ = writeln!(text, "\n{}", targets.trim_fmt());
    }
    for round in rounds {
        for remark in &round.remarks {
            let _ = writeln!(text, "\n  {remark}");
        }
    }
}

fn floors_line(floors: &Floors) -> String {
    let Floors {
        single,
        single_p50_ms,
        single_p99_ms,
        naive,
        fused,
        batched,
    } = floors;
    let mut line =
        format!("single commits {single:.0}/s (p50 {single_p50_ms:.2}, p99 {single_p99_ms:.2} ms)");
    let others = [("F1", naive), ("F2", fused), ("F3", batched)];
    for (name, rate) in others {
        if let Some(rate) = rate {
            let _ = write!(line, ", {name} {rate:.0}/s");
        }
    }
    line
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(header.to_vec());
    table
}

fn rows_table() -> Table {
    let mut table = plain(&[
        "WORKLOAD",
        "LOAD",
        "ACCEPTED/S",
        "DONE/S",
        "÷ FLOOR",
        "ACCEPT MS p50/p99/p99.9",
        "DONE MS p50/p99/p99.9",
        "CPU µs MESH+DB",
        "COMMITS",
        "STATEMENTS",
        "WAL B",
        "GROWTH B",
        "RSS MiB",
    ]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn add_row(table: &mut Table, row: &Row, base: Option<f64>) {
    let Row {
        workload,
        label,
        figures,
    } = row;
    let workload = format!("{workload:?}");
    add_class(table, (&workload, label), figures, (&figures.all, base));
    for class in &figures.classes {
        let label = format!("  {}", class.name);
        table.add_row(vec![
            String::new(),
            label,
            format!("{:.0}", class.accepted_per_s),
            rate(class.completed_per_s),
            String::new(),
            latency(&class.accept),
            latency(&class.end),
        ]);
    }
}

fn add_class(
    table: &mut Table,
    (workload, label): (&str, &str),
    figures: &Figures,
    (class, base): (&Class, Option<f64>),
) {
    let costs = &figures.costs;
    let each = |value: Option<f64>, digits: usize| {
        value.map_or_else(String::new, |value| format!("{value:.digits$}"))
    };
    let mesh: f64 = costs.cpu_us.values().sum();
    let ratio = base.filter(|_| class.completed_per_s > 0.0);
    let ratio = ratio.map(|base| class.completed_per_s / base);
    let mut label = label.to_owned();
    if figures.failed > 0 {
        let _ = write!(label, ", {} failed", figures.failed);
    }
    if figures.refused > 0 {
        let _ = write!(label, ", {} refused", figures.refused);
    }
    table.add_row(vec![
        workload.to_owned(),
        label,
        format!("{:.0}", class.accepted_per_s),
        rate(class.completed_per_s),
        each(ratio, 2),
        latency(&class.accept),
        latency(&class.end),
        match costs.database_cpu_us {
            Some(database) => format!("{mesh:.0}+{database:.0}"),
            None if mesh > 0.0 => format!("{mesh:.0}"),
            None => String::new(),
        },
        each(costs.commits, 3),
        each(costs.statements, 2),
        each(costs.wal_bytes, 0),
        format!("{:.0}", costs.database_bytes),
        format!("{}", costs.resident_bytes >> 20),
    ]);
}

fn rate(per_second: f64) -> String {
    if per_second > 0.0 {
        format!("{per_second:.0}")
    } else {
        String::new()
    }
}

fn latency(latency: &Latency) -> String {
    if latency.count == 0 {
        return String::new();
    }
    let Latency { p50, p99, p999, .. } = latency;
    format!("{p50:.2} / {p99:.2} / {p999:.2}")
}

/// Medians over the rounds beside what they ought to be.
fn targets_table(rounds: &[&Round]) -> Table {
    let mut by_name: BTreeMap<_, Vec<Finding>> = BTreeMap::new();
    for finding in rounds.iter().flat_map(|round| target::of(round)) {
        let key = (finding.workload, finding.what.clone());
        by_name.entry(key).or_default().push(finding);
    }
    let mut table = plain(&["TARGET", "", "MEASURED", "MUST", "AIM", "REACHED"]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for ((workload, what), mut findings) in by_name {
        findings.sort_by(|one, other| one.value.total_cmp(&other.value));
        let Some(median) = findings.get(findings.len() / 2) else {
            continue;
        };
        let bound = |bound: Option<f64>| bound.map_or_else(String::new, short);
        table.add_row(vec![
            format!("{workload:?}"),
            what,
            format!("{} {}", short(median.value), median.unit),
            bound(median.must),
            bound(median.aim),
            median.verdict().to_owned(),
        ]);
    }
    table
}

/// Three digits or so.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

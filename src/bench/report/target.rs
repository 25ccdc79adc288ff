//! What the figures ought to be.

use serde::Serialize;

use super::super::args::Workload;
use super::super::stage::Backend;
use super::{Finding, Round};
use crate::bench::workload::label;

/// In which direction a figure gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::bench) enum Better {
    Higher,
    Lower,
}

impl Finding {
    /// How it stands beside what it ought to be.
    pub(super) fn verdict(&self) -> &'static str {
        let reaches = |bound: Option<f64>| {
            bound.map(|bound| match self.better {
                Better::Higher => self.value >= bound,
                Better::Lower => self.value <= bound,
            })
        };
        match (reaches(self.must), reaches(self.aim)) {
            (_, Some(true)) => "aim",
            (Some(true), _) => "must",
            (Some(false), _) => "MISSED",
            (None, _) => "",
        }
    }
}

/// What a round's rows come to, and what its workloads found themselves.
pub(super) fn of(round: &Round) -> Vec<Finding> {
    let mut targets = Vec::new();
    throughput(round, &mut targets);
    latency(round, &mut targets);
    registry(round, &mut targets);
    targets.extend(round.findings.iter().cloned());
    targets
}

fn finding(
    workload: Workload,
    (what, unit): (&str, &'static str),
    value: f64,
    (must, aim): (f64, f64),
    better: Better,
) -> Finding {
    Finding {
        workload,
        what: what.to_owned(),
        value,
        unit,
        must: Some(must),
        aim: Some(aim),
        better,
    }
}

fn throughput(round: &Round, targets: &mut Vec<Finding>) {
    let Some(at_64) = round.row(Workload::W1, label::CLOSED) else {
        return;
    };
    let completed = at_64.all.completed_per_s;
    let is_postgres = round.database == Backend::Postgres;
    if let Some(floors) = round.floors() {
        let (what, bounds) = if is_postgres {
            ("completed/s ÷ F1", (1.2, 2.5))
        } else {
            ("completed/s ÷ single commits/s", (1.5, 3.0))
        };
        let ratio = completed / floors.base();
        targets.push(finding(
            Workload::W1,
            (what, "x"),
            ratio,
            bounds,
            Better::Higher,
        ));
    }
    if let Some(at_256) = round.row(Workload::W1, label::CLOSED_256) {
        let ratio = at_256.all.completed_per_s / completed;
        let what = ("256 clients ÷ 64", "x");
        targets.push(finding(
            Workload::W1,
            what,
            ratio,
            (1.0, 1.3),
            Better::Higher,
        ));
    }
    let cpu = at_64.costs.total_cpu_us();
    let bounds = if is_postgres {
        (220.0, 110.0)
    } else {
        (150.0, 65.0)
    };
    let what = ("processor time per operation", "µs");
    targets.push(finding(Workload::W1, what, cpu, bounds, Better::Lower));
    if let Some(commits) = at_64.costs.commits {
        let what = ("commits per operation", "");
        targets.push(finding(
            Workload::W1,
            what,
            commits,
            (0.6, 0.25),
            Better::Lower,
        ));
    }
}

fn latency(round: &Round, targets: &mut Vec<Finding>) {
    let half = round.row(Workload::W1, label::HALF);
    if let Some((half, floors)) = half.zip(round.floors()) {
        let (p50, p99) = (floors.single_p50_ms, floors.single_p99_ms);
        let bounds = (2.0 * p50 + 0.6, 1.5 * p50 + 0.3);
        let what = ("accept p50 at half load", "ms");
        let value = half.all.accept.p50;
        targets.push(finding(Workload::W1, what, value, bounds, Better::Lower));
        let bounds = (3.0 * p99 + 4.0, 3.0 * p99 + 1.0);
        let what = ("accept p99 at half load", "ms");
        let value = half.all.accept.p99;
        targets.push(finding(Workload::W1, what, value, bounds, Better::Lower));
    }
    let alone = round.row(Workload::W1, label::ALONE);
    if let Some((alone, receipt)) = alone.and_then(|row| row.receipt.as_ref().map(|r| (row, r))) {
        let beyond = receipt.p50 - alone.all.accept.p50;
        let what = ("external system called after accept p50", "ms");
        targets.push(finding(
            Workload::W1,
            what,
            beyond,
            (1.5, 0.5),
            Better::Lower,
        ));
    }
}

fn registry(round: &Round, targets: &mut Vec<Finding>) {
    let mut rate = |workload, label: &str, what: &str, bounds| {
        let row = round.row(workload, label)?;
        let value = row.all.accepted_per_s;
        targets.push(finding(
            workload,
            (what, "/s"),
            value,
            bounds,
            Better::Higher,
        ));
        Some(value)
    };
    let empty = rate(
        Workload::R1,
        label::EMPTY,
        "registrations/s",
        (1_500.0, 3_000.0),
    );
    rate(
        Workload::R2,
        label::CLOSED,
        "queries/s",
        (8_000.0, 16_000.0),
    );
    rate(Workload::R3, label::CLOSED, "pages/s", (300.0, 1_000.0));
    rate(Workload::R4, label::CLOSED, "pairs/s", (600.0, 1_200.0));
    let full = round.row(Workload::R1, label::FULL);
    if let Some((empty, full)) = empty.zip(full) {
        let what = ("registrations/s with 100,000 there ÷ empty", "x");
        let ratio = full.all.accepted_per_s / empty;
        targets.push(finding(
            Workload::R1,
            what,
            ratio,
            (0.9, 0.98),
            Better::Higher,
        ));
    }
    let page = round.row(Workload::R3, label::CLOSED);
    if let Some(statements) = page.and_then(|row| row.costs.statements) {
        let what = ("statements per page", "");
        targets.push(finding(
            Workload::R3,
            what,
            statements,
            (4.0, 2.0),
            Better::Lower,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_knows_the_direction() {
        let up = finding(Workload::W1, ("x", ""), 1.3, (1.2, 2.5), Better::Higher);
        assert_eq!(up.verdict(), "must");
        let down = finding(Workload::W1, ("x", ""), 0.7, (0.6, 0.25), Better::Lower);
        assert_eq!(down.verdict(), "MISSED");
        let down = finding(Workload::W1, ("x", ""), 0.2, (0.6, 0.25), Better::Lower);
        assert_eq!(down.verdict(), "aim");
    }
}

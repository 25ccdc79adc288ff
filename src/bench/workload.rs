//! The workloads.

mod asynchronous;
mod fairness;
mod idle;
mod pile;
mod registry;
mod spread;
mod sync;

use std::time::Duration;

use super::Bench;
use super::args::Workload;
use super::driver::Shape;
use super::measure::{self, Figures, Job};
use super::report::{Better, Finding, Row};
use super::request::{Kind, Requests};
use super::stage::Stage;

/// Names of rows that the targets speak about.
pub(in crate::bench) mod label {
    pub(in crate::bench) const CLOSED: &str = "64 clients";
    pub(in crate::bench) const CLOSED_256: &str = "256 clients";
    pub(in crate::bench) const ALONE: &str = "1 client";
    pub(in crate::bench) const HALF: &str = "open, 50 %";
    pub(in crate::bench) const EMPTY: &str = "64 clients, empty tenant";
    pub(in crate::bench) const FULL: &str = "64 clients, 100,000 there";
}

/// Measures a workload.
pub(super) async fn run(bench: &Bench<'_>, workload: Workload) -> anyhow::Result<()> {
    match workload {
        Workload::W1 => sync::run(bench).await,
        Workload::W2 => asynchronous::run(bench).await,
        Workload::W3 => pile::waiting(bench).await,
        Workload::W4 => pile::finished(bench).await,
        Workload::W5 => fairness::hot_tenant(bench).await,
        Workload::W6 => fairness::bad_systems(bench).await,
        Workload::W7 => spread::replicas(bench).await,
        Workload::W9 => spread::held_snapshot(bench).await,
        Workload::W10 => idle::run(bench).await,
        Workload::R1 => registry::register(bench).await,
        Workload::R2 => registry::find(bench).await,
        Workload::R3 => registry::page(bench).await,
        Workload::R4 => registry::pair(bench).await,
    }
}

impl Bench<'_> {
    /// A job of the usual length.
    fn job(&self, requests: Requests, clients: usize, shape: Shape) -> Job {
        Job {
            requests,
            clients,
            shape,
            warm_up: self.settings.warm_up(),
            length: self.settings.length(),
            classes: &[""],
            classify: |_| 0,
            looking_out: false,
            whole: true,
            to_the_end: true,
        }
    }

    /// Measures a row and keeps it.
    async fn row(
        &self,
        stage: &Stage,
        (workload, label): (Workload, &str),
        job: Job,
    ) -> anyhow::Result<Figures> {
        let name = format!("{workload:?} on {}, {label}", stage.backend.name());
        stage.settle().await?;
        let figures = measure::run(stage, job, (&name, self.progress)).await?;
        let row = Row {
            workload,
            label: label.to_owned(),
            figures: figures.clone(),
        };
        self.report.with(|round| round.rows.push(row));
        if let Some(refusal) = &figures.first_refusal {
            let refused = figures.refused;
            self.remark(format!(
                "{name}: {refused} requests were refused, the first with {refusal}"
            ));
        }
        Ok(figures)
    }

    fn remark(&self, text: String) {
        self.report.with(|round| round.remarks.push(text));
    }

    /// Keeps something that is no row: what it is, its value and unit, what it must be and ought
    /// to be.
    fn find(
        &self,
        workload: Workload,
        (what, unit): (String, &'static str),
        value: f64,
        (bounds, better): (Option<(f64, f64)>, Better),
    ) {
        let finding = Finding {
            workload,
            what,
            value,
            unit,
            must: bounds.map(|bounds| bounds.0),
            aim: bounds.map(|bounds| bounds.1),
            better,
        };
        self.report.with(|round| round.findings.push(finding));
    }

    /// What the stage does when nothing else is going on, in completed operations per second.
    async fn undisturbed(
        &self,
        stage: &Stage,
        (workload, requests): (Workload, Requests),
    ) -> anyhow::Result<Figures> {
        let job = self.job(requests, self.settings.clients, Shape::Closed);
        self.row(stage, (workload, "undisturbed"), job).await
    }

    /// W1's requests, over all seeded applications.
    fn unpairs(&self) -> Requests {
        Requests::new(Kind::Unpair, self.settings.applications)
    }
}

/// Half of it, at least a second.
fn half(length: Duration) -> Duration {
    (length / 2).max(Duration::from_secs(1))
}

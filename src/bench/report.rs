//! What was measured, as far as it has come.

mod plot;
mod table;
mod target;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use serde::Serialize;

use super::args::{Settings, Workload};
use super::floor::Floors;
use super::measure::Figures;
use super::proc;
use super::stage::Backend;

pub(super) use target::Better;

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) workload: Workload,
    /// What distinguishes it from the workload's other rows.
    pub(super) label: String,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

/// Something else than a row that a workload found out, and what it ought to be.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) workload: Workload,
    pub(super) what: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) must: Option<f64>,
    pub(super) aim: Option<f64>,
    pub(super) better: Better,
}

/// Everything that was measured on one database between two measurements of its floors.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Round {
    pub(super) database: Backend,
    pub(super) number: u32,
    pub(super) floors_before: Option<Floors>,
    pub(super) floors_after: Option<Floors>,
    pub(super) load_average: f64,
    pub(super) rows: Vec<Row>,
    pub(super) findings: Vec<Finding>,
    pub(super) remarks: Vec<String>,
}

impl Round {
    /// The floors: of both measurements where there are two.
    pub(super) fn floors(&self) -> Option<Floors> {
        match (&self.floors_before, &self.floors_after) {
            (Some(before), Some(after)) => Some(before.mean(after)),
            (before, after) => before.clone().or_else(|| after.clone()),
        }
    }

    /// Whether its floors differ too much for its figures to mean anything.
    pub(super) fn is_discarded(&self) -> bool {
        let floors = self.floors_before.as_ref().zip(self.floors_after.as_ref());
        floors.is_some_and(|(before, after)| !before.agree(after))
    }

    fn row(&self, workload: Workload, label: &str) -> Option<&Figures> {
        let mut rows = self.rows.iter();
        let row = rows.find(|row| row.workload == workload && row.label == label);
        row.map(|row| &row.figures)
    }
}

/// What a run has to tell.
#[derive(Debug, Serialize)]
struct Content {
    version: &'static str,
    started: String,
    processors: usize,
    settings: Settings,
    /// Settings of the server that matter.
    postgres: Vec<(String, String)>,
    rounds: Vec<Round>,
}

/// The report of a run; kept while it goes on, so that what there is can be shown at any time.
pub(super) struct Report(Mutex<Content>);

impl Report {
    pub(super) fn new(settings: Settings) -> Self {
        Self(Mutex::new(Content {
            version: env!("CARGO_PKG_VERSION"),
            started: binnacle_boot::clock::now().to_rfc3339(),
            processors: std::thread::available_parallelism().map_or(1, Into::into),
            settings,
            postgres: Vec::new(),
            rounds: Vec::new(),
        }))
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_postgres(&self, settings: Vec<(String, String)>) {
        self.content().postgres = settings;
    }

    pub(super) fn begin(&self, database: Backend, number: u32) {
        self.content().rounds.push(Round {
            database,
            number,
            floors_before: None,
            floors_after: None,
            load_average: proc::load_average(),
            rows: Vec::new(),
            findings: Vec::new(),
            remarks: Vec::new(),
        });
    }

    /// Changes the round that is under way.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Round) -> T) -> Option<T> {
        self.content().rounds.last_mut().map(change)
    }

    /// Whether rounds were measured and none of them counts.
    pub(super) fn is_worthless(&self) -> bool {
        let content = self.content();
        !content.rounds.is_empty() && content.rounds.iter().all(Round::is_discarded)
    }

    /// The tables, for people.
    pub(super) fn text(&self) -> String {
        table::render(&self.content().rounds)
    }

    pub(super) fn write_json(&self, file: &Path) -> anyhow::Result<()> {
        let content = self.content();
        let mut value = serde_json::to_value(&*content).context("cannot write JSON")?;
        let rounds = value
            .get_mut("rounds")
            .and_then(|rounds| rounds.as_array_mut());
        for (value, round) in rounds.into_iter().flatten().zip(&content.rounds) {
            value["discarded"] = round.is_discarded().into();
            let targets = target::of(round);
            value["targets"] = serde_json::to_value(targets).context("cannot write JSON")?;
        }
        let text = format!("{value:#}\n");
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    pub(super) fn write_svg(&self, file: &Path) -> anyhow::Result<()> {
        let text = plot::render(&self.content().rounds);
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

//! What is written in one go, and the answers to it.

use std::collections::{HashMap, HashSet};

use binnacle_domain::operation::OperationId;
use uuid::Uuid;

use super::{
    Answer, Answers, Done, Positions, Record, Recorded, Release, Save, Saved,
    transaction::{End, Kind, Transaction, Work, Written},
};
use crate::store::Error;

/// What becomes of operations: saved, given back, ended, recorded.
#[derive(Clone, Default)]
pub(super) struct Round<'a> {
    pub(super) saves: Positions<'a, Save>,
    pub(super) releases: Positions<'a, Release>,
    pub(super) dones: Positions<'a, Done>,
    pub(super) records: Positions<'a, Record>,
}

/// The end of an operation that is still open here, and whose holder is to find out.
pub(super) struct Ending {
    pub(super) id: OperationId,
    pub(super) epoch: i64,
    /// The stored form.
    pub(super) outcome: Option<String>,
}

/// Operations to close, and those to record in their places.
#[derive(Default)]
pub(super) struct Closing<'a> {
    pub(super) endings: Vec<Ending>,
    pub(super) records: Positions<'a, Record>,
}

impl<'a> Round<'a> {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            saves,
            releases,
            dones,
            records,
        } = self;
        saves.is_empty() && releases.is_empty() && dones.is_empty() && records.is_empty()
    }

    pub(super) fn append(&mut self, other: Self) {
        let Self {
            saves,
            releases,
            dones,
            records,
        } = other;
        self.saves.extend(saves);
        self.releases.extend(releases);
        self.dones.extend(dones);
        self.records.extend(records);
    }

    /// What can be written together, and the rest: a statement writes a row once, so that of several items about
    /// one operation each has a round of its own. All go by their keys, in which order every replica takes locks.
    pub(super) fn split(self) -> (Self, Self) {
        let Self {
            saves,
            releases,
            dones,
            mut records,
        } = self;
        let mut seen = HashSet::new();
        let (saves, late_saves) = first(saves, |save| save.id, &mut seen);
        let (releases, late_releases) = first(releases, |release| release.id, &mut seen);
        let (dones, late_dones) = first(dones, |done| done.id, &mut seen);
        records.sort_by_key(|(_, record)| record.resource.id);
        let now = Self {
            saves,
            releases,
            dones,
            records,
        };
        let later = Self {
            saves: late_saves,
            releases: late_releases,
            dones: late_dones,
            records: Vec::new(),
        };
        (now, later)
    }

    /// The ends among it.
    pub(super) fn ends(&self) -> Vec<End<'_>> {
        let end = |(_, done): &(usize, &'a Done)| End {
            id: done.id.0,
            epoch: done.epoch,
            outcome: done.outcome.as_deref(),
            is_closing: false,
        };
        self.dones.iter().map(end).collect()
    }

    /// With its [ends](Self::ends).
    pub(super) fn work<'b>(&'b self, ends: &'b [End<'b>]) -> Work<'b> {
        Work {
            saves: &self.saves,
            releases: &self.releases,
            ends,
            records: &self.records,
        }
    }

    /// Answers what was written, and gives back the rest. A release that was not written is stale.
    pub(super) fn answer(self, rows: &[Written], answers: &mut Answers) -> Self {
        let Self {
            saves,
            releases,
            dones,
            records,
        } = self;
        let mut written: HashMap<(Kind, Uuid), i64> = rows
            .iter()
            .map(|(kind, id, version)| ((*kind, *id), *version))
            .collect();
        // Taken out, so that of a repeat in one batch only the first is new.
        let mut taken = |kind, id: OperationId| written.remove(&(kind, id.0));
        let mut missed = Self::default();
        for (at, save) in saves {
            match taken(Kind::Saved, save.id) {
                Some(version) => answers.set(at, Answer::Saved(Saved::At(version))),
                None => missed.saves.push((at, save)),
            }
        }
        for (at, release) in releases {
            let version = taken(Kind::Released, release.id);
            let saved = version.map_or(Saved::Stale, Saved::At);
            answers.set(at, Answer::Saved(saved));
        }
        for (at, done) in dones {
            match taken(Kind::Ended, done.id) {
                Some(version) => answers.set(at, Answer::Saved(Saved::At(version))),
                None => missed.dones.push((at, done)),
            }
        }
        for (at, record) in records {
            match taken(Kind::Recorded, record.id) {
                Some(_) => answers.set(at, Answer::Recorded(Recorded::New)),
                None => missed.records.push((at, record)),
            }
        }
        missed
    }
}

impl Closing<'_> {
    pub(super) async fn write(
        mut self,
        transaction: &mut impl Transaction,
        now: i64,
        answers: &mut Answers,
    ) -> Result<(), Error> {
        if self.records.is_empty() {
            return Ok(());
        }
        self.records.sort_by_key(|(_, record)| record.resource.id);
        self.endings.sort_by_key(|ending| ending.id);
        let ends = self.endings.iter().map(|ending| End {
            id: ending.id.0,
            epoch: ending.epoch,
            outcome: ending.outcome.as_deref(),
            is_closing: true,
        });
        let ends: Vec<_> = ends.collect();
        let work = Work {
            saves: &[],
            releases: &[],
            ends: &ends,
            records: &self.records,
        };
        let rows = transaction.write(work, now).await?;
        let mut new: HashSet<Uuid> = rows
            .into_iter()
            .filter(|(kind, ..)| *kind == Kind::Recorded)
            .map(|(_, id, _)| id)
            .collect();
        for (at, record) in &self.records {
            let is_new = new.remove(&record.id.0);
            let recorded = if is_new {
                Recorded::New
            } else {
                Recorded::Retry
            };
            answers.set(*at, Answer::Recorded(recorded));
        }
        Ok(())
    }
}

fn first<'a, T>(
    mut items: Positions<'a, T>,
    id: impl Fn(&T) -> OperationId,
    seen: &mut HashSet<OperationId>,
) -> (Positions<'a, T>, Positions<'a, T>) {
    items.sort_by_key(|(_, item)| id(item));
    items
        .into_iter()
        .partition(|(_, item)| seen.insert(id(item)))
}

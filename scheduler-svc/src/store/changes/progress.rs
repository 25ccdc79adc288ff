//! How far operations have come, as whoever wrote them knows it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
};

use binnacle_domain::operation::{OperationId, Outcome};
use uuid::Uuid;

use crate::store::{
    Answer, Recorded, Saved, Write,
    commit::{Done, Save},
    stored,
};

/// Concluded operations whose outcomes are remembered until their end, twice over.
const REMEMBERED: usize = 32_768;
/// Digits of an id without hyphens.
const DIGITS: usize = 32;

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    InProgress,
    Finalizing,
    Succeeded,
    Failed,
}

impl Phase {
    fn letter(self) -> &'static str {
        match self {
            Self::InProgress => "p",
            Self::Finalizing => "z",
            Self::Succeeded => "s",
            Self::Failed => "f",
        }
    }

    fn of(letter: &str) -> Option<Self> {
        let all = [
            Self::InProgress,
            Self::Finalizing,
            Self::Succeeded,
            Self::Failed,
        ];
        all.into_iter().find(|phase| phase.letter() == letter)
    }
}

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) phase: Phase,
    pub(crate) version: i64,
}

/// An operation that has changed. Its text form is what replicas tell one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) id: OperationId,
    /// `None`: the database has to be asked.
    pub(crate) progress: Option<Progress>,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.0.simple().fmt(f)?;
        let Some(Progress { phase, version }) = self.progress else {
            return Ok(());
        };
        write!(f, "{}{version}", phase.letter())
    }
}

/// Not the text form of a change.
#[derive(Debug, thiserror::Error)]
#[error("not an operation that has changed")]
pub(crate) struct Unreadable;

impl FromStr for Changed {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (id, progress) = text.split_at_checked(DIGITS).ok_or(Unreadable)?;
        let id = Uuid::try_parse(id).map_err(|_| Unreadable)?;
        let progress = if progress.is_empty() {
            None
        } else {
            let (letter, version) = progress.split_at_checked(1).ok_or(Unreadable)?;
            Some(Progress {
                phase: Phase::of(letter).ok_or(Unreadable)?,
                version: version.parse().map_err(|_| Unreadable)?,
            })
        };
        Ok(Self {
            id: OperationId(id),
            progress,
        })
    }
}

/// How far an operation has come, as the database says.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::store) struct ProgressRow {
    id: Uuid,
    version: i64,
    phase: String,
}

impl From<ProgressRow> for Changed {
    fn from(row: ProgressRow) -> Self {
        let ProgressRow { id, version, phase } = row;
        Self {
            id: OperationId(id),
            progress: Phase::of(&phase).map(|phase| Progress { phase, version }),
        }
    }
}

/// The last change of each operation.
#[derive(Debug, Default)]
pub(crate) struct Latest(BTreeMap<OperationId, Option<Progress>>);

impl Latest {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What is known of an operation that also changed in a way that is not known is of no use.
    pub(crate) fn note(&mut self, changed: &Changed) {
        let Changed { id, progress } = *changed;
        let last = self.0.entry(id).or_insert(progress);
        *last = last.zip(progress).map(|(one, other)| {
            if one.version > other.version {
                one
            } else {
                other
            }
        });
    }

    pub(crate) fn into_changes(self) -> impl Iterator<Item = Changed> {
        let changes = self.0.into_iter();
        changes.map(|(id, progress)| Changed { id, progress })
    }
}

/// Whether operations that were concluded here, and have not ended yet, will have succeeded.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    recent: HashMap<OperationId, bool>,
    older: HashMap<OperationId, bool>,
}

impl Outcomes {
    /// What a write that was answered has changed.
    pub(super) fn changed(&mut self, write: &Write, answer: &Answer) -> Option<Changed> {
        match (write, answer) {
            (Write::Record(record), Answer::Recorded(Recorded::New)) => Some(Changed {
                id: record.id,
                progress: Some(Progress {
                    phase: Phase::InProgress,
                    version: 1,
                }),
            }),
            (Write::Save(save), Answer::Saved(Saved::At(version))) => {
                let phase = self.saved(save);
                let version = *version;
                Some(Changed {
                    id: save.id,
                    progress: Some(Progress { phase, version }),
                })
            }
            (Write::Done(done), Answer::Saved(Saved::At(version))) => {
                let phase = self.done(done);
                Some(Changed {
                    id: done.id,
                    progress: phase.map(|phase| Progress {
                        phase,
                        version: *version,
                    }),
                })
            }
            _ => None,
        }
    }

    /// What was concluded elsewhere is not saved here: nothing is left to be tried, and a worker releases it.
    fn saved(&mut self, save: &Save) -> Phase {
        if let Some(outcome) = &save.outcome {
            self.remember(save.id, has_succeeded(outcome));
            return Phase::Finalizing;
        }
        let is_concluded = [&self.recent, &self.older]
            .iter()
            .any(|outcomes| outcomes.contains_key(&save.id));
        if is_concluded {
            Phase::Finalizing
        } else {
            Phase::InProgress
        }
    }

    fn done(&mut self, done: &Done) -> Option<Phase> {
        let remembered = self.recent.remove(&done.id);
        let remembered = remembered.or_else(|| self.older.remove(&done.id));
        let given = done.outcome.as_deref().map(has_succeeded);
        given.or(remembered).map(|succeeded| {
            if succeeded {
                Phase::Succeeded
            } else {
                Phase::Failed
            }
        })
    }

    fn remember(&mut self, id: OperationId, succeeded: bool) {
        if self.recent.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(id, succeeded);
    }
}

fn has_succeeded(outcome: &str) -> bool {
    outcome == stored::json(&Outcome::Succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(id: u128, progress: Option<(Phase, i64)>) -> Changed {
        Changed {
            id: OperationId(Uuid::from_u128(id)),
            progress: progress.map(|(phase, version)| Progress { phase, version }),
        }
    }

    fn save(id: u128, outcome: Option<&Outcome>, release_for: Option<i64>) -> Write {
        Write::Save(Save {
            id: OperationId(Uuid::from_u128(id)),
            epoch: 1,
            version: 1,
            webhooks: String::new(),
            outcome: outcome.map(stored::json),
            release_for,
            attempts: Vec::new(),
        })
    }

    fn done(id: u128, outcome: Option<&Outcome>) -> Write {
        Write::Done(Done {
            id: OperationId(Uuid::from_u128(id)),
            epoch: 1,
            outcome: outcome.map(stored::json),
        })
    }

    #[test]
    fn a_change_survives_being_told() {
        for change in [
            changed(1, None),
            changed(2, Some((Phase::InProgress, 1))),
            changed(3, Some((Phase::Finalizing, 2))),
            changed(4, Some((Phase::Succeeded, 30))),
            changed(u128::MAX, Some((Phase::Failed, i64::MAX))),
        ] {
            assert_eq!(change.to_string().parse::<Changed>().unwrap(), change);
        }
        for text in ["", "x", "0000000000000000000000000000000", "ö"] {
            assert!(text.parse::<Changed>().is_err(), "{text}");
        }
        let id = "00000000000000000000000000000001";
        for rest in ["q1", "s", "sx", "ö1"] {
            assert!(format!("{id}{rest}").parse::<Changed>().is_err(), "{rest}");
        }
    }

    #[test]
    fn the_last_change_is_the_one_with_the_highest_version_unless_one_is_unknown() {
        let mut latest = Latest::default();
        for change in [
            changed(1, Some((Phase::Succeeded, 3))),
            changed(1, Some((Phase::InProgress, 1))),
            changed(2, None),
            changed(2, Some((Phase::InProgress, 1))),
        ] {
            latest.note(&change);
        }
        let latest: Vec<_> = latest.into_changes().collect();
        let expected = [changed(1, Some((Phase::Succeeded, 3))), changed(2, None)];
        assert_eq!(latest, expected);
    }

    #[test]
    fn the_end_of_what_was_concluded_here_is_known_and_of_nothing_else() {
        let mut outcomes = Outcomes::default();
        let failed = Outcome::Failed {
            error: "e".to_owned(),
            detail: String::new(),
        };
        let mut phase = |write: &Write| {
            let changed = outcomes.changed(write, &Answer::Saved(Saved::At(2)))?;
            changed.progress.map(|progress| progress.phase)
        };
        assert_eq!(phase(&save(1, None, None)), Some(Phase::InProgress));
        assert_eq!(phase(&save(1, None, Some(5))), Some(Phase::InProgress));
        assert_eq!(
            phase(&save(1, Some(&failed), None)),
            Some(Phase::Finalizing)
        );
        assert_eq!(phase(&save(1, None, Some(5))), Some(Phase::Finalizing));
        assert_eq!(phase(&done(1, None)), Some(Phase::Failed));
        assert_eq!(phase(&done(1, None)), None);
        let succeeded = Some(&Outcome::Succeeded);
        assert_eq!(
            phase(&save(2, Some(&failed), None)),
            Some(Phase::Finalizing)
        );
        assert_eq!(phase(&done(2, succeeded)), Some(Phase::Succeeded));
        assert_eq!(
            outcomes.changed(&done(3, succeeded), &Answer::Saved(Saved::Stale)),
            None
        );
    }
}

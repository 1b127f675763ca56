//! What `heaptide doctor` says: checks of a host and of a process, and what they add up to.

mod json;
mod text;

use crate::units::Pid;

/// How a check came out, the best first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Status {
    /// Nothing is missing.
    Ok,
    /// Something is measured less well, or not at all; the rest is.
    Degraded,
    /// Nothing can be measured before this is mended.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Degraded, Self::Failed];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// What is checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Topic {
    /// A stable name for programs.
    pub id: &'static str,
    /// A name for people.
    pub title: &'static str,
}

/// A check that was made, or could not be tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// What was checked.
    pub topic: Topic,
    /// How it came out; a check that could not be tried has failed.
    pub status: Status,
    /// Whether it could be tried.
    pub tried: bool,
    /// What was found, or why it could not be tried.
    pub found: String,
    /// What to do about it; `None` if there is nothing to be done.
    pub remedy: Option<String>,
}

impl Topic {
    /// Nothing is missing.
    pub fn ok(self, found: impl Into<String>) -> Check {
        let (status, found) = (Status::Ok, found.into());
        Check {
            topic: self,
            status,
            tried: true,
            found,
            remedy: None,
        }
    }

    /// Something is measured less well.
    pub fn degraded(self, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        let remedy = Some(remedy.into());
        Check {
            status: Status::Degraded,
            remedy,
            ..self.ok(found)
        }
    }

    /// Nothing can be measured.
    pub fn failed(self, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        let remedy = Some(remedy.into());
        Check {
            status: Status::Failed,
            remedy,
            ..self.ok(found)
        }
    }

    /// It could not be tried, because another check failed, whose remedy helps here, too.
    pub fn untried(self, cause: Self) -> Check {
        let found = format!("not tried, see {}", cause.title);
        let remedy = Some(format!("mend this first: {}", cause.title));
        Check {
            status: Status::Failed,
            tried: false,
            remedy,
            ..self.ok(found)
        }
    }
}

/// All checks that were made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Diagnosis {
    /// Those of the host.
    pub host: Vec<Check>,
    /// A process, and its checks.
    pub process: Option<(Pid, Vec<Check>)>,
}

impl Diagnosis {
    /// Whether the host can be profiled.
    pub fn host_verdict(&self) -> Status {
        worst(&self.host)
    }

    /// Whether the process can be profiled, if one was asked for.
    pub fn process_verdict(&self) -> Status {
        worst(self.process_checks())
    }

    /// Whether the host and the process can be profiled.
    pub fn verdict(&self) -> Status {
        self.host_verdict().max(self.process_verdict())
    }

    fn process_checks(&self) -> &[Check] {
        self.process.as_ref().map_or(&[], |(_, checks)| checks)
    }
}

fn worst(checks: &[Check]) -> Status {
    checks
        .iter()
        .map(|check| check.status)
        .max()
        .unwrap_or(Status::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that is checked in tests.
    pub(super) const ENGINE: Topic = Topic {
        id: "engine",
        title: "engine",
    };
    pub(super) const WHEELS: Topic = Topic {
        id: "wheels",
        title: "wheels",
    };

    #[test]
    fn the_worst_check_decides() {
        let mut diagnosis = Diagnosis::default();
        assert_eq!(diagnosis.verdict(), Status::Ok);
        diagnosis.host = vec![ENGINE.ok("runs"), WHEELS.degraded("three", "add one")];
        assert_eq!(diagnosis.verdict(), Status::Degraded);
        diagnosis.process = Some((Pid(7), vec![ENGINE.failed("gone", "buy one")]));
        assert_eq!(diagnosis.host_verdict(), Status::Degraded);
        assert_eq!(diagnosis.process_verdict(), Status::Failed);
        assert_eq!(diagnosis.verdict(), Status::Failed);
    }

    #[test]
    fn what_could_not_be_tried_has_not_passed() {
        let check = WHEELS.untried(ENGINE);
        assert_eq!((check.status, check.tried), (Status::Failed, false));
        assert_eq!(check.found, "not tried, see engine");
    }
}

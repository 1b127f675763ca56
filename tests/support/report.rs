//! What `heaptide report --format json` says.

use std::path::Path;

use serde::Deserialize;

use super::{heaptide::heaptide, program::Place};

/// A report; only what tests look at.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) recording: Recording,
    pub(crate) group: Verdict,
    pub(crate) losses: Vec<Loss>,
    pub(crate) processes: Vec<Process>,
    pub(crate) totals: Totals,
    pub(crate) sites: Vec<Site>,
    pub(crate) copies: Vec<CopySite>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Recording {
    pub(crate) complete: bool,
    pub(crate) notes: Vec<String>,
}

/// What is thought of all processes together.
#[derive(Debug, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) pattern: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Loss {
    pub(crate) reason: String,
    pub(crate) count: u64,
    pub(crate) loses_data: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) inner_pid: Option<u32>,
    pub(crate) parent: u32,
    pub(crate) command: String,
    pub(crate) python: Option<String>,
    pub(crate) ended: Option<f64>,
    pub(crate) retained: Estimate,
    pub(crate) mapped: u64,
    pub(crate) allocator: Option<Allocator>,
    pub(crate) sharing: Option<Sharing>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Allocator {
    pub(crate) python: Option<PythonHeap>,
    pub(crate) libc: Option<LibcHeap>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PythonHeap {
    pub(crate) resident: u64,
    pub(crate) live: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LibcHeap {
    pub(crate) main: Arena,
    pub(crate) threads: Arena,
    pub(crate) unseen: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Arena {
    pub(crate) arenas: u64,
    pub(crate) held: u64,
    pub(crate) free: u64,
    pub(crate) top: u64,
    pub(crate) returnable: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Sharing {
    pub(crate) inherited: u64,
    pub(crate) shared: u64,
    pub(crate) copied: u64,
    pub(crate) copied_before: u64,
    pub(crate) own: u64,
    pub(crate) causes: Vec<Cause>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Cause {
    pub(crate) cause: String,
    pub(crate) bytes: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CopySite {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) cause: String,
    pub(crate) pids: Vec<u32>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Totals {
    pub(crate) retained: Estimate,
    pub(crate) allocations: Estimate,
    pub(crate) mapped: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Site {
    pub(crate) function: String,
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) stack: Vec<Frame>,
    pub(crate) pids: Vec<u32>,
    pub(crate) retained: Estimate,
    pub(crate) allocated: Estimate,
    pub(crate) allocations: Estimate,
    pub(crate) mapped: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Frame {
    pub(crate) function: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "they are the keys of the report")]
pub(crate) struct Estimate {
    pub(crate) estimate: u64,
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Report {
    /// Lets heaptide report about a recording.
    #[track_caller]
    pub(crate) fn of(recording: &Path) -> Self {
        let path = recording.display().to_string();
        let output = heaptide(&["report", &path, "--format", "json"]);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        Self::parse(&output.stdout)
    }

    /// Reads a report.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The site at a line.
    #[track_caller]
    pub(crate) fn site(&self, place: &Place) -> &Site {
        self.find(place)
            .unwrap_or_else(|| panic!("no site at {place:?} in {self:#?}"))
    }

    /// The site at a line, if anything was seen there.
    pub(crate) fn find(&self, place: &Place) -> Option<&Site> {
        self.sites.iter().find(|site| site.is_at(place))
    }

    /// A process by its pid.
    #[track_caller]
    pub(crate) fn process(&self, pid: u32) -> &Process {
        let found = self.processes.iter().find(|process| process.pid == pid);
        found.unwrap_or_else(|| panic!("no process {pid} in {:#?}", self.processes))
    }

    /// How often something was lost for this reason.
    #[track_caller]
    pub(crate) fn loss(&self, reason: &str) -> u64 {
        let found = self.losses.iter().find(|loss| loss.reason == reason);
        found
            .unwrap_or_else(|| panic!("no loss is called {reason}"))
            .count
    }

    /// Checks that nothing is missing.
    #[track_caller]
    pub(crate) fn expect_no_losses(&self) {
        let lost: Vec<&Loss> = self
            .losses
            .iter()
            .filter(|loss| loss.loses_data && loss.count > 0)
            .collect();
        assert!(lost.is_empty(), "{lost:?}");
    }
}

impl Frame {
    /// Whether this is a frame at a line.
    pub(crate) fn is_at(&self, place: &Place) -> bool {
        self.file == place.file && self.line == place.line
    }
}

impl Site {
    /// Whether this is the site at a line.
    pub(crate) fn is_at(&self, place: &Place) -> bool {
        self.file == place.file && self.line == place.line
    }

    /// What it retains.
    pub(crate) fn retained(&self) -> u64 {
        self.retained.estimate
    }
}

//! What a recording shall be like, in meaning and not in flags.

use std::{path::PathBuf, time::Duration};

use crate::{profile::TrafficChoice, units::Pid};

/// What is measured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// Processes that run already.
    Attach {
        /// Their ids.
        pids: Vec<Pid>,
    },
    /// A command that is started, with its arguments.
    Launch {
        /// The program and its arguments.
        command: Vec<String>,
    },
}

/// What a recording shall be like.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Options {
    /// What is measured.
    pub target: Target,
    /// How long; `None` is until the user or the target ends it.
    pub duration: Option<Duration>,
    /// Where the recording goes; `None` is a name made from the target and the time.
    pub output: Option<PathBuf>,
    /// Whether an existing file is replaced.
    pub force: bool,
    /// How much of the target's time the probes may cost, in percent.
    pub max_overhead_percent: f64,
    /// Whether everything is followed, whatever it costs.
    pub exact: bool,
    /// Whether descendants are followed.
    pub children: bool,
    /// Which signal stands for traffic.
    pub traffic: TrafficChoice,
    /// Whether the kernel half writes diagnostics.
    pub diagnostics: bool,
    /// Use one link for each probe, as on kernels before 6.6.
    pub single_site_links: bool,
    /// Leave out half of the places where small objects are handed out, as if the scan of the code
    /// had missed them.
    pub leave_out_sites: bool,
}

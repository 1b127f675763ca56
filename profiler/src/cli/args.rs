//! Flags that several verbs share, and how their values are read.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgAction, Args, ValueEnum};
use jiff::SignedDuration;

use crate::{
    profile::{Recorded, TrafficChoice},
    report::{Redaction, Redactor},
    session::{Options, Target},
};

/// Flags of all verbs.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// Print nothing but results and errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Say more; twice: with the diagnostics of the kernel half
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(super) color: ColorChoice,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What the summary is written as.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum TrafficArg {
    /// The one that tells most: connections, bytes where connections carry many requests, messages
    /// of a broker where there are no clients
    #[default]
    Auto,
    /// None: processor time stands for it
    None,
    /// Connections accepted
    TcpAccepts,
    /// Bytes received on connections that were accepted (Linux 6.3 and newer)
    SocketBytes,
}

/// What of a recording is hidden, so that the result can be shown to others.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct RedactArgs {
    /// Hide what others should not see, the same thing everywhere behind the same number
    #[arg(long, value_enum, value_name = "WHAT")]
    redact: Option<RedactArg>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum RedactArg {
    /// The folders of files; the standard library and the names of packages stay
    Paths,
    /// Folders, files, functions, commands and the kernel's build; only Python's own names stay
    Names,
}

impl RedactArgs {
    /// Who hides it.
    pub(super) fn redactor(self) -> Option<Redactor> {
        self.redact.map(|redact| {
            Redactor::new(match redact {
                RedactArg::Paths => Redaction::Paths,
                RedactArg::Names => Redaction::Names,
            })
        })
    }

    /// The recording with that hidden.
    pub(super) fn of(self, recorded: Recorded) -> Recorded {
        match self.redactor() {
            Some(mut redactor) => redactor.recorded(recorded),
            None => recorded,
        }
    }

    /// What the file of a recording may be called, if anything.
    pub(super) fn name_of(self, path: &Path) -> Option<String> {
        match self.redact {
            None => Some(path.display().to_string()),
            Some(RedactArg::Paths) => path.file_name().map(|it| it.to_string_lossy().into_owned()),
            // By default it is named after the command.
            Some(RedactArg::Names) => None,
        }
    }
}

/// Flags of the verbs that record.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct RecordArgs {
    /// How long to record, such as 30s, 5m or 1h [default: until Ctrl-C]
    #[arg(short, long, value_parser = parse_duration)]
    pub(super) duration: Option<Duration>,
    /// The recording; by default `heaptide-<comm>-<pid>-<time>.heaptide` in this folder
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Replace the recording if it exists
    #[arg(long)]
    force: bool,
    /// Also draw a flamegraph of what is retained
    #[arg(long, value_name = "FILE.svg")]
    pub(super) flamegraph: Option<PathBuf>,
    /// How much of the target's time the probes may cost, on average
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0, value_parser = parse_percent)]
    max_overhead: f64,
    /// Follow every allocation and every free, whatever it costs
    #[arg(long)]
    exact: bool,
    /// Record only the named processes, not their descendants
    #[arg(long)]
    no_children: bool,
    /// Which signal stands for traffic
    #[arg(long, value_enum, default_value_t, value_name = "SIGNAL")]
    traffic: TrafficArg,
    /// What the summary on stdout is written as
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
    /// Use one link for each probe, as on kernels before 6.6 (for tests)
    #[arg(long, hide = true)]
    single_site_links: bool,
    /// Leave out half of the places where small objects are handed out (for tests)
    #[arg(long, hide = true)]
    leave_out_sites: bool,
}

impl RecordArgs {
    /// What the flags mean for a recording of `target`.
    pub(super) fn options(&self, target: Target, common: &Common) -> Options {
        Options {
            target,
            duration: self.duration,
            output: self.output.clone(),
            force: self.force,
            max_overhead_percent: self.max_overhead,
            exact: self.exact,
            children: !self.no_children,
            traffic: match self.traffic {
                TrafficArg::Auto => TrafficChoice::Auto,
                TrafficArg::None => TrafficChoice::None,
                TrafficArg::TcpAccepts => TrafficChoice::TcpAccepts,
                TrafficArg::SocketBytes => TrafficChoice::SocketBytes,
            },
            diagnostics: common.verbose >= 2,
            single_site_links: self.single_site_links,
            leave_out_sites: self.leave_out_sites,
        }
    }
}

/// Reads a duration such as `30s`, `5m` or `1h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write 30s, 5m or 1h");
    let duration: SignedDuration = text.parse().map_err(|_error| wrong())?;
    let duration = Duration::try_from(duration).map_err(|_negative| wrong())?;
    if duration.is_zero() {
        return Err("a recording needs some time; write 30s, 5m or 1h".to_owned());
    }
    Ok(duration)
}

/// Reads a share in percent.
fn parse_percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err(format!("`{text}` is not a share between 0 and 100 percent")),
    }
}

/// Reads a time in seconds from the start of the recording.
pub(super) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_error| format!("`{text}` is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_error| format!("`{text}` is not a time after the start"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(parse_duration("1h"), Ok(Duration::from_hours(1)));
        for wrong in ["", "30", "0s", "-5s", "soon"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_budget_is_a_share() {
        assert_eq!(parse_percent("2"), Ok(2.0));
        assert_eq!(parse_percent("0.5%"), Ok(0.5));
        for wrong in ["0", "-1", "101", "NaN", "much"] {
            assert!(parse_percent(wrong).is_err(), "{wrong}");
        }
    }
}

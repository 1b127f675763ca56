//! How a recording goes: a bar on a terminal, lines where nobody watches.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{args::Common, output};
use crate::{
    session::{Observer, Progress},
    units::{Bytes, human_duration},
};

/// Shows how a recording goes.
pub(super) struct Bar {
    quiet: bool,
    /// Diagnostics go to the same screen, and a bar among them would be torn.
    may_draw: bool,
    drawn: Option<ProgressBar>,
}

impl Bar {
    pub(super) fn new(common: &Common) -> Self {
        Self {
            quiet: common.quiet,
            may_draw: common.verbose == 0 && io::stderr().is_terminal(),
            drawn: None,
        }
    }

    fn say(&self, text: &str) {
        match &self.drawn {
            Some(bar) => bar.suspend(|| output::complain(text)),
            None => output::complain(text),
        }
    }
}

impl Observer for Bar {
    fn started(&mut self, path: &Path, duration: Option<Duration>) {
        if self.quiet {
            return;
        }
        let time = duration.map_or_else(
            || "until Ctrl-C".to_owned(),
            |duration| format!("for {}; Ctrl-C ends it earlier", human_duration(duration)),
        );
        output::complain(&format!("recording to {} {time}", path.display()));
        if !self.may_draw {
            return;
        }
        let bar = match duration {
            Some(duration) => ProgressBar::new(duration.as_secs())
                .with_style(style("{bar:30} {elapsed}/{len}s  {msg}")),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {elapsed}  {msg}")),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        self.drawn = Some(bar);
    }

    fn progressed(&mut self, progress: Progress) {
        let Some(bar) = &self.drawn else { return };
        bar.set_position(progress.elapsed.as_secs());
        let processes = match progress.processes {
            1 => "1 process".to_owned(),
            count => format!("{count} processes"),
        };
        bar.set_message(format!(
            "{processes}, {} resident, {} lost",
            Bytes(progress.rss),
            progress.missing
        ));
    }

    fn warned(&mut self, message: &str) {
        self.say(&format!("warning: {message}"));
    }

    fn ended(&mut self) {
        if let Some(bar) = self.drawn.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        // A recording that failed leaves no bar above its message either.
        self.ended();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_wrong| ProgressStyle::default_bar())
}

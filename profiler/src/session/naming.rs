//! What a recording is called: in titles, and as a file.

use std::path::PathBuf;

use jiff::{Timestamp, tz::TimeZone};

use super::{SessionError, Target};

/// How the target is called in titles and file names.
pub(super) struct TargetName {
    pub(super) text: String,
    stem: String,
}

impl TargetName {
    pub(super) fn of(target: &Target) -> Result<Self, SessionError> {
        match target {
            Target::Attach { pids } => {
                let mut texts = Vec::new();
                let mut stem = String::new();
                for pid in pids {
                    let identity = crate::process::check(*pid)?;
                    if stem.is_empty() {
                        stem = format!("{}-{pid}", file_name_part(&identity.name));
                    }
                    let inside = identity.inner_pid.map_or(String::new(), |inner| {
                        // As `/proc` of a container has it.
                        format!(", pid {inner} inside")
                    });
                    texts.push(format!("{} (pid {pid}{inside})", identity.command));
                }
                Ok(Self {
                    text: texts.join(", "),
                    stem,
                })
            }
            Target::Launch { command } => {
                let program = command.first().map_or("", String::as_str);
                let name = program.rsplit('/').next().unwrap_or_default();
                let stem = format!("{}-{}", file_name_part(name), std::process::id());
                Ok(Self {
                    text: command.join(" "),
                    stem,
                })
            }
        }
    }

    pub(super) fn default_path(&self) -> PathBuf {
        let time = Timestamp::now()
            .to_zoned_datetime(TimeZone::system())
            .strftime("%Y%m%dT%H%M%S");
        PathBuf::from(format!("heaptide-{}-{time}.heaptide", self.stem))
    }
}

/// What of a process's name can stand in a file's.
fn file_name_part(name: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '_'
        }
    };
    name.chars().map(kept).collect()
}

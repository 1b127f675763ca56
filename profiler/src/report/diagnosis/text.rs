//! A diagnosis for people: a line for each check, what to do where something is missing, and what
//! it all means in the last line.

use super::{Check, Diagnosis, Status};
use crate::{
    report::{
        plain::{printable, width, wrap},
        screen::{COLUMNS, Line, Look, Screen, Worth},
    },
    units::Pid,
};

/// Columns for how a check came out.
const STATUS_COLUMNS: usize = 10;
/// Columns for what was checked.
const TITLE_COLUMNS: usize = 17;
/// Columns for what was found.
const FOUND_COLUMNS: usize = COLUMNS - STATUS_COLUMNS - TITLE_COLUMNS;

impl Diagnosis {
    /// Writes it for a terminal.
    pub fn text(&self, color: bool) -> String {
        let mut screen = Screen::default();
        for check in self.host.iter().chain(self.process_checks()) {
            write_check(&mut screen, check);
        }
        let verdict = Line::new(look(self.verdict()), self.sentence());
        screen.line(Worth::Result, Line::default());
        screen.line(Worth::Result, verdict);
        screen.print(color)
    }

    /// The verdict as a sentence.
    fn sentence(&self) -> String {
        let pid = self.process.as_ref().map(|(pid, _)| *pid);
        match (self.host_verdict(), self.process_verdict(), pid) {
            (Status::Failed, _, None) => "this host cannot be profiled".to_owned(),
            (Status::Failed, Status::Failed, Some(pid)) => {
                format!("neither this host nor process {pid} can be profiled")
            }
            (Status::Failed, _, Some(pid)) => {
                format!("this host cannot be profiled, and so process {pid} cannot either")
            }
            (_, Status::Failed, _) => format!("{} cannot be profiled", subject(pid)),
            (Status::Ok, Status::Ok, _) => format!("{} can be profiled", subject(pid)),
            _ => format!("{} can be profiled, with limits", subject(pid)),
        }
    }
}

fn subject(pid: Option<Pid>) -> String {
    pid.map_or_else(|| "this host".to_owned(), |pid| format!("process {pid}"))
}

fn write_check(screen: &mut Screen, check: &Check) {
    let (mark, look) = if check.tried {
        (check.status.name(), look(check.status))
    } else {
        ("-", Look::Dim)
    };
    let title = format!("{:<TITLE_COLUMNS$}", check.topic.title);
    let mut head = Line::new(look, format!("{mark:<STATUS_COLUMNS$}")).and(Look::Plain, title);
    for part in wrap(&printable(&check.found), FOUND_COLUMNS) {
        screen.line(Worth::Result, head.and(Look::Plain, part));
        head = Line::new(Look::Plain, " ".repeat(STATUS_COLUMNS + TITLE_COLUMNS));
    }
    // What could not be tried is mended where its cause is.
    if let (true, Some(remedy)) = (check.tried, &check.remedy) {
        write_remedy(screen, remedy);
    }
}

fn write_remedy(screen: &mut Screen, remedy: &str) {
    let mut label = "remedy: ";
    let room = COLUMNS - STATUS_COLUMNS - width(label);
    for part in wrap_whole(&printable(remedy), room) {
        let indent = format!("{:STATUS_COLUMNS$}{label:<8}", "");
        screen.line(
            Worth::Result,
            Line::new(Look::Dim, indent).and(Look::Bold, part).uncut(),
        );
        label = "";
    }
}

/// Breaks a text between words, and never in one: what is to be copied must be whole.
fn wrap_whole(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

const fn look(status: Status) -> Look {
    match status {
        Status::Ok => Look::Good,
        Status::Degraded => Look::Warning,
        Status::Failed => Look::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ENGINE, WHEELS};
    use super::*;

    #[test]
    fn each_check_is_a_line_and_the_last_line_is_the_verdict() {
        let diagnosis = Diagnosis {
            host: vec![
                ENGINE.ok("runs"),
                WHEELS.degraded("three", "add one"),
                WHEELS.untried(ENGINE),
            ],
            process: None,
        };
        let expected = "\
            ok        engine           runs\n\
            degraded  wheels           three\n          \
                      remedy: add one\n\
            -         wheels           not tried, see engine\n\
            \n\
            this host cannot be profiled\n";
        assert_eq!(diagnosis.text(false), expected);
    }

    #[test]
    fn what_is_found_stays_on_the_screen_and_a_remedy_stays_whole() {
        let (found, command) = ("word ".repeat(40), "x".repeat(90));
        let check = ENGINE.failed(found, format!("run {command}"));
        let diagnosis = Diagnosis {
            host: vec![check],
            process: None,
        };
        let text = diagnosis.text(false);
        assert!(text.contains(&command));
        assert!(text.lines().filter(|line| width(line) > COLUMNS).count() == 1);
    }

    #[test]
    fn what_a_process_says_of_itself_does_not_control_the_terminal() {
        let diagnosis = Diagnosis {
            host: vec![ENGINE.ok("\x1b[2Jgone")],
            process: None,
        };
        assert!(!diagnosis.text(false).contains('\x1b'));
        assert!(diagnosis.text(true).contains("\x1b[32mok"));
    }

    #[test]
    fn the_verdict_names_what_was_asked_for() {
        let sentence = |host: Status, process: Option<Status>| {
            let check = |status| Check {
                status,
                ..ENGINE.ok("")
            };
            let process = process.map(|status| (Pid(7), vec![check(status)]));
            Diagnosis {
                host: vec![check(host)],
                process,
            }
            .sentence()
        };
        use Status as S;
        assert_eq!(sentence(S::Ok, None), "this host can be profiled");
        assert_eq!(
            sentence(S::Degraded, None),
            "this host can be profiled, with limits"
        );
        assert_eq!(sentence(S::Ok, Some(S::Ok)), "process 7 can be profiled");
        assert_eq!(
            sentence(S::Degraded, Some(S::Ok)),
            "process 7 can be profiled, with limits"
        );
        assert_eq!(
            sentence(S::Ok, Some(S::Failed)),
            "process 7 cannot be profiled"
        );
        let both = "neither this host nor process 7 can be profiled";
        assert_eq!(sentence(S::Failed, Some(S::Failed)), both);
        let host = "this host cannot be profiled, and so process 7 cannot either";
        assert_eq!(sentence(S::Failed, Some(S::Ok)), host);
    }
}

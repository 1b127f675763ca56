//! Measured causes: what allocators keep, and what forked processes share no longer.

use crate::{
    aggregate::{ProcessFinding, SharingFinding},
    classify::Pattern,
    profile::CopyCause,
    report::{
        Subject,
        numbers::percent,
        screen::{Screen, Worth},
    },
    units::Bytes,
};

/// Less is of no interest.
const LITTLE: u64 = 16 << 20;

/// What is free and kept from the system, of all processes, if it is much or the very point.
pub(super) fn kept(screen: &mut Screen, subject: &Subject<'_>) {
    let ends = || {
        let processes = subject.findings.processes.iter();
        processes.filter_map(|it| Some(it.allocator.as_ref()?.end))
    };
    let sum = |of: &dyn Fn(crate::profile::AllocatorCensus) -> u64| {
        ends().map(of).fold(0, u64::saturating_add)
    };
    let all = sum(&|it| it.kept());
    let resident = subject.findings.group.rss_end.unwrap_or(0);
    let is_point = subject.verdicts.group.pattern == Pattern::AllocatorRetention;
    if all < LITTLE || !(is_point || all > resident / 5) {
        return;
    }
    let heap = sum(&|it| it.libc.map_or(0, |libc| libc.main.kept()));
    let threads = sum(&|it| it.libc.map_or(0, |libc| libc.threads.kept()));
    let trimmed = sum(&|it| {
        it.libc.map_or(0, |libc| {
            libc.main.returnable.saturating_add(libc.threads.returnable)
        })
    });
    let places = [
        (
            sum(&|it| it.python.map_or(0, |it| it.kept())),
            "in Python's arenas",
        ),
        (heap, "in malloc's heap"),
        (threads, "in its arenas of threads"),
    ];
    let places: Vec<String> = (places.into_iter())
        .filter(|(bytes, _)| *bytes >= 1 << 20)
        .map(|(bytes, place)| format!("{} {place}", Bytes(bytes)))
        .collect();
    let text = format!(
        "{} is free and not given back: {}; malloc_trim(0) would return {}",
        Bytes(all),
        places.join(", "),
        Bytes(trimmed)
    );
    screen.sentence(worth(is_point), "kept", &text);
}

/// What forked processes share, and what made them copy the rest.
pub(super) fn shared(screen: &mut Screen, subject: &Subject<'_>) {
    let of = |it: &ProcessFinding| it.sharing.clone();
    let found: Vec<SharingFinding> = subject.findings.processes.iter().filter_map(of).collect();
    let sum =
        |of: &dyn Fn(&SharingFinding) -> u64| found.iter().map(of).fold(0, u64::saturating_add);
    let copied = sum(&|it| it.copied);
    let pattern = subject.verdicts.group.pattern;
    let is_point = matches!(
        pattern,
        Pattern::WorkerDuplication | Pattern::WorkerCountStep
    );
    if copied < LITTLE {
        return;
    }
    let mut text = format!(
        "forked processes share {} of {} that they got; they copied {}, and got {} since",
        Bytes(sum(&|it| it.shared)),
        Bytes(sum(&|it| it.inherited())),
        Bytes(copied),
        Bytes(sum(&|it| it.own)),
    );
    let by = |cause| {
        sum(&|it: &SharingFinding| {
            let causes = it.causes.iter().filter(|(known, _)| *known == cause);
            causes.map(|(_, bytes)| *bytes).sum()
        })
    };
    let seen: u64 = CopyCause::ALL.into_iter().map(by).sum();
    if seen > 0 {
        let mut causes = CopyCause::ALL.map(|cause| (by(cause), cause));
        causes.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let causes: Vec<String> = (causes.into_iter())
            .filter(|(bytes, _)| *bytes > 0)
            .map(|(bytes, cause)| format!("{} {}", percent(share(bytes, seen)), cause.describe()))
            .collect();
        text = format!(
            "{text}; {} while recording: {}",
            Bytes(seen),
            causes.join(", ")
        );
    }
    screen.sentence(worth(is_point), "shared", &text);
}

const fn worth(is_point: bool) -> Worth {
    if is_point {
        Worth::Result
    } else {
        Worth::Detail
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is printed in percent")]
fn share(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

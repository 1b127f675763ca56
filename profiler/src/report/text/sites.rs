//! The table of sites.

use crate::{
    aggregate::{Site, old_share},
    profile::Frame,
    report::{
        Owner, Places, Subject,
        numbers::{percent, uncertainty},
        plain::width,
        screen::{COLUMNS, Line, Look, ROOM, Screen, Worth},
    },
    units::Bytes,
};

/// How many of the heaviest sites are listed.
const SITES: usize = 5;

/// Columns in front of the place of a site.
const WHERE: usize = 34;

/// Columns of the share that is old.
const OLD: usize = 5;

/// The heaviest sites, and who called those that are not own code.
pub(super) fn sites(screen: &mut Screen, subject: &Subject<'_>) {
    let findings = subject.findings;
    let heavy = |site: &&Site| site.retained.estimate > 0;
    let sites: Vec<&Site> = findings.sites.iter().filter(heavy).collect();
    if sites.is_empty() {
        busiest(screen, subject);
        return;
    }
    screen.space();
    let has_ages = sites.iter().any(|it| !it.retained_by_age.is_empty());
    let old_title = if has_ages { "  old" } else { "" };
    let title = format!(
        "  {:>8} {:<5} {:>5} {:>9}{old_title}  where",
        "retained", "", "share", "allocated"
    );
    let indent = WHERE + if has_ages { OLD } else { 0 };
    screen.line(Worth::Result, Line::new(Look::Dim, title));
    let places = places(subject);
    for (index, site) in sites.iter().take(SITES).enumerate() {
        screen.line(
            Worth::Result,
            site_line(site, &places, (index == 0, has_ages)),
        );
        if let Some(caller) = own_caller(site, subject) {
            let label = places.label_within(caller, COLUMNS - indent - 2);
            let text = format!("{:indent$}← {label}", "");
            screen.line(Worth::Detail, Line::new(Look::Dim, text));
        }
    }
    if let Some(rest) = sites.get(SITES..).filter(|rest| !rest.is_empty()) {
        let sum = rest
            .iter()
            .map(|site| site.retained.estimate)
            .fold(0, u64::saturating_add);
        let text = format!("  {:>8} at {} other lines", Bytes(sum), rest.len());
        screen.line(Worth::Detail, Line::new(Look::Dim, text));
    }
}

/// Of what it retains, how much it got in the first half: a leak about half of it, a cache that was
/// filled nearly all, and who only has something in use next to nothing.
fn old(site: &Site) -> String {
    let share = old_share(&site.retained_by_age);
    share.map_or_else(String::new, |share| percent(100.0 * share))
}

fn site_line(site: &Site, places: &Places, (first, has_ages): (bool, bool)) -> Line {
    let old = if has_ages {
        format!("{:>OLD$}", old(site))
    } else {
        String::new()
    };
    let numbers = format!(
        "  {:>8} {:<5} {:>5} {:>9}{old}  ",
        Bytes(site.retained.estimate),
        uncertainty(site.retained).unwrap_or_default(),
        percent(site.share_of_growth_percent),
        Bytes(site.allocated.estimate),
    );
    let room = COLUMNS.saturating_sub(width(&numbers));
    let label = places.label_within(&frame_of(site), room);
    let look = if first { Look::Bold } else { Look::Plain };
    Line::new(look, numbers + &label)
}

/// Where most was allocated, when nothing was retained.
fn busiest(screen: &mut Screen, subject: &Subject<'_>) {
    let sites = subject.findings.sites.iter().rev();
    let Some(site) = sites.max_by_key(|site| site.allocated.estimate) else {
        return;
    };
    let text = format!("{} at ", Bytes(site.allocated.estimate));
    let room = ROOM.saturating_sub(width(&text));
    let label = places(subject).label_within(&frame_of(site), room);
    screen.labelled(
        Worth::Result,
        "busiest",
        Line::new(Look::Plain, text + &label),
    );
}

/// The nearest own code that called a site which is none itself.
fn own_caller<'a>(site: &Site, subject: &Subject<'a>) -> Option<&'a Frame> {
    if Owner::of(&frame_of(site)) == Owner::Own {
        return None;
    }
    let stacks = &subject.recorded.stacks;
    stacks
        .frames_of(site.stack)
        .map(|id| stacks.frame(id))
        .find(|frame| Owner::of(frame) == Owner::Own)
}

/// The frame that a site is.
pub(in crate::report) fn frame_of(site: &Site) -> Frame {
    Frame {
        function: site.function.clone(),
        file: site.file.clone(),
        line: site.line,
    }
}

/// Paths relative to what the files of all sites share.
pub(in crate::report) fn places(subject: &Subject<'_>) -> Places {
    let stacks = &subject.recorded.stacks;
    let sites = subject.findings.sites.iter();
    Places::of(sites.flat_map(|site| stacks.frames_of(site.stack).map(|id| stacks.frame(id))))
}

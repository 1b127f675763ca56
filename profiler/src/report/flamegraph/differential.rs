//! Differential flamegraphs: as wide as one recording, and coloured by what changed to another.

use std::collections::HashMap;

use inferno::flamegraph::{Options, TextTruncateDirection};

use super::{
    ReportError, TITLE, colors,
    folded::{self, Column, Pairs},
    svg,
};
use crate::{
    profile::{FrameId, Recorded, StackId},
    report::plain::{printable, shorten},
    units::Bytes,
};

/// Of which recording the widths are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Widths {
    /// Of the one before: it shows what is gone, too.
    Before,
    /// Of the one after: it shows what is new, too.
    #[default]
    After,
}

/// What a differential flamegraph is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Differential<'a> {
    /// The recordings before and after.
    pub recorded: [&'a Recorded; 2],
    /// Which frame of the recording after a frame of that before is.
    pub same: &'a HashMap<FrameId, FrameId>,
    /// What stacks retain per second, before and after.
    pub rates: [&'a [(StackId, u64)]; 2],
    /// Of which recording the widths are.
    pub widths: Widths,
}

/// Draws it. Red is more than before and blue is less, whatever the widths are of.
pub fn differential(drawn: &Differential<'_>) -> Result<Vec<u8>, ReportError> {
    let [before, after] = [0, 1].map(|side| {
        let stacks = &drawn.recorded[side].stacks;
        Column::of(stacks, drawn.rates[side])
    });
    let before = before.replaced((drawn.same, after.stacks));
    let folded = Pairs::of(&match drawn.widths {
        Widths::After => [before, after],
        Widths::Before => [after, before],
    });
    let (title, subtitle) = (title(drawn), subtitle(drawn));
    if folded.lines.is_empty() {
        let message = "Nothing was retained where the widths are taken from.";
        return Ok(svg::empty(&title, &subtitle, message));
    }
    let mut drawing = Options::default();
    drawing.bgcolors = Some(colors::BACKGROUND);
    drawing.deterministic = true;
    drawing.title = title;
    drawing.subtitle = Some(subtitle);
    drawing.count_name = String::from("bytes per second");
    drawing.name_type = String::new();
    drawing.factor = folded.factor;
    drawing.negate_differentials = drawn.widths == Widths::Before;
    drawing.text_truncate_direction = TextTruncateDirection::Right;
    let lines = folded.lines.iter().map(String::as_str);
    let mut written = Vec::new();
    inferno::flamegraph::from_lines(&mut drawing, lines, &mut written).map_err(|source| {
        ReportError::Flamegraph {
            target: drawn.recorded[1].facts.target.clone(),
            source,
        }
    })?;
    Ok(svg::finished(written))
}

fn title(drawn: &Differential<'_>) -> String {
    let target = printable(&drawn.recorded[1].facts.target);
    let target = shorten(&target, TITLE / 3 * 2);
    let widths = match drawn.widths {
        Widths::Before => "before",
        Widths::After => "after",
    };
    format!("{target} — retained per second {widths}")
}

fn subtitle(drawn: &Differential<'_>) -> String {
    let sums = drawn.rates.map(|rates| {
        let rates = rates.iter().map(|(_, rate)| *rate);
        Bytes(rates.fold(0, u64::saturating_add))
    });
    let [before, after] = sums;
    format!(
        "red: more than before · blue: less · white: the same, or a caller · before {before}/s · \
         after {after}/s"
    )
}

/// Weights of a whole recording as rates per second.
pub fn per_second(
    weights: &[(StackId, u64)],
    duration: std::time::Duration,
) -> Vec<(StackId, u64)> {
    let rate = |weight: u64| folded::scaled(weight, duration.as_millis().max(1));
    let rates = weights
        .iter()
        .map(|(stack, weight)| (*stack, rate(*weight)));
    rates.filter(|(_, rate)| *rate > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::Sample;

    const MAIN: (&str, &str, u32) = ("main", "/srv/app/main.py", 1);

    fn draw(widths: Widths) -> String {
        let mut before = Sample::quiet();
        let mut after = Sample::quiet();
        let old = [
            (before.stack(&[MAIN, ("leak", "/srv/app/main.py", 4)]), 9000),
            (before.stack(&[MAIN, ("gone", "/srv/app/main.py", 7)]), 5000),
        ];
        let new = [
            (after.stack(&[MAIN, ("leak", "/srv/app/main.py", 6)]), 3000),
            (after.stack(&[MAIN, ("<new>", "/srv/app/main.py", 9)]), 4000),
        ];
        let recorded = [&before.recorded, &after.recorded];
        let id = |side: usize, name: &str| {
            let stacks = &recorded[side].stacks;
            let ids = (0..3).map(FrameId);
            let mut found = ids.filter(|id| stacks.frame(*id).function == name);
            found.next().unwrap()
        };
        let same = ["main", "leak"].map(|name| (id(0, name), id(1, name)));
        let drawn = differential(&Differential {
            recorded,
            same: &same.into_iter().collect(),
            rates: [&old, &new],
            widths,
        });
        String::from_utf8(drawn.unwrap()).unwrap()
    }

    #[test]
    fn widths_are_of_the_side_that_was_asked_for() {
        let after = draw(Widths::After);
        assert!(
            after.contains("all (7,000 bytes per second, 100%)"),
            "{after}"
        );
        assert!(after.contains("leak (app/main.py:6) (3,000 bytes per second, 42.86%; -85.71%)"));
        assert!(after.contains("&lt;new&gt; (app/main.py:9) (4,000 bytes"));
        assert!(!after.contains(">gone (app"));
        let before = draw(Widths::Before);
        assert!(
            before.contains("all (14,000 bytes per second, 100%)"),
            "{before}"
        );
        assert!(before.contains("leak (app/main.py:6) (9,000 bytes per second, 64.29%; -42.86%)"));
        assert!(before.contains("gone (app/main.py:7) (5,000 bytes per second, 35.71%; -35.71%)"));
        assert!(!before.contains("&lt;new&gt; (app"));
    }

    #[test]
    fn nothing_is_drawn_as_a_message() {
        let sample = Sample::quiet();
        let drawn = differential(&Differential {
            recorded: [&sample.recorded, &sample.recorded],
            same: &HashMap::new(),
            rates: [&[], &[]],
            widths: Widths::After,
        });
        let drawn = String::from_utf8(drawn.unwrap()).unwrap();
        assert!(drawn.contains("Nothing was retained"));
    }

    #[test]
    fn rates_are_weights_by_seconds() {
        let duration = std::time::Duration::from_millis(2500);
        let rates = per_second(&[(StackId(1), 5000), (StackId(2), 1)], duration);
        assert_eq!(rates, [(StackId(1), 2000)]);
        let most = per_second(&[(StackId(1), u64::MAX)], std::time::Duration::ZERO);
        assert_eq!(most, [(StackId(1), u64::MAX)]);
    }
}

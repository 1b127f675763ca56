//! How much traffic there was, in words.

use super::{Activity, Pattern, Traffic, evidence::size, opinion::Measures};
use crate::{aggregate::Findings, profile::TrafficChoice};

/// How much came to it, and how much it grew for each.
pub(super) fn of_traffic(pattern: Pattern, it: &Measures) -> Option<String> {
    let (came, (each, unit)) = (it.came?, it.activity.yardstick()?);
    let amount = amount(it.activity, came);
    let is_growth = it.rise() >= it.matters && it.matters > 0.0;
    if it.is_idle && pattern == Pattern::IdleGrowth {
        return Some(format!("all that time nothing came to it ({amount})"));
    }
    if !is_growth || came < each {
        return Some(format!("meanwhile there came {amount}"));
    }
    let per_unit = size(it.rise() / (came / each));
    Some(format!(
        "meanwhile there came {amount}: it grew {per_unit} per {unit}"
    ))
}

/// So much of a kind of traffic, in words.
fn amount(activity: Activity, count: f64) -> String {
    let plural = |word: &str| match count.round() {
        1.0 => format!("1 {word}"),
        many => format!("{} {word}s", grouped(many)),
    };
    match activity {
        Activity::ReceivedBytes => format!("{} received", size(count)),
        Activity::Messages => plural("message"),
        _ => plural("connection"),
    }
}

/// A whole number with commas.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What stood for traffic, and how much of it there was.
pub(super) fn traffic(findings: &Findings, activity: Activity) -> Traffic {
    let rounds = &findings.rounds;
    let count = rounds.last().and_then(|last| activity.count(&last.sockets));
    let span = findings.duration.as_secs_f64();
    let per_second = count.map(|count| count / span.max(1e-3));
    let text = match (activity, count.zip(per_second)) {
        (_, Some((count, rate))) => {
            let rate = match activity {
                Activity::ReceivedBytes => format!("{}/s", size(rate)),
                _ => format!("{rate:.1}/s"),
            };
            let of = match activity {
                Activity::Messages => " from a broker",
                Activity::Connections => " accepted",
                _ => "",
            };
            format!("{}{of} ({rate})", amount(activity, count))
        }
        _ if findings.traffic == TrafficChoice::None => {
            "none counted, as asked; processor time stands for it".to_owned()
        }
        _ => "none counted: processor time stands for it".to_owned(),
    };
    Traffic {
        count,
        per_second,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_in_words() {
        assert_eq!(amount(Activity::Connections, 1.0), "1 connection");
        assert_eq!(amount(Activity::Connections, 0.0), "0 connections");
        assert_eq!(
            amount(Activity::Messages, 1_234_567.0),
            "1,234,567 messages"
        );
        assert_eq!(
            amount(Activity::ReceivedBytes, 1_048_576.0),
            "1.00 MiB received"
        );
    }

    #[test]
    fn growth_is_told_for_each_unit() {
        let measures = Measures {
            start: 1e7,
            end: 3e7,
            matters: 1e6,
            came: Some(10_000.0),
            activity: Activity::Connections,
            ..Measures::default()
        };
        let said = of_traffic(Pattern::TrafficGrowth, &measures).unwrap();
        assert!(
            said.ends_with("10,000 connections: it grew 1.95 KiB per connection"),
            "{said}"
        );
        let received = Measures {
            came: Some(1e7),
            activity: Activity::ReceivedBytes,
            ..measures.clone()
        };
        let said = of_traffic(Pattern::TrafficGrowth, &received).unwrap();
        assert!(said.ends_with("it grew 1.91 MiB per MB received"), "{said}");
        let idle = Measures {
            came: Some(0.0),
            is_idle: true,
            ..measures.clone()
        };
        let said = of_traffic(Pattern::IdleGrowth, &idle).unwrap();
        assert_eq!(said, "all that time nothing came to it (0 connections)");
        let processor = Measures {
            came: None,
            ..measures
        };
        assert_eq!(of_traffic(Pattern::TrafficGrowth, &processor), None);
    }
}

//! What stands for traffic: which signal, and what it says of each process.

use super::{
    signals::float,
    statistics::{Contrast, Point, quantile},
    thresholds as limit,
};
use crate::{
    aggregate::{Course, Findings, Round},
    profile::{SocketCensus, TrafficChoice},
};

/// What stands for traffic.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Activity {
    /// Processor time that the process used: the fallback.
    #[default]
    ProcessorTime,
    /// Connections accepted.
    Connections,
    /// Bytes received on connections that were accepted.
    ReceivedBytes,
    /// Messages received from a broker.
    Messages,
}

impl Activity {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ProcessorTime,
        Self::Connections,
        Self::ReceivedBytes,
        Self::Messages,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessorTime => "processor-time",
            Self::Connections => "tcp-accepts",
            Self::ReceivedBytes => "socket-bytes",
            Self::Messages => "broker-messages",
        }
    }

    /// As a person would say it.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::ProcessorTime => "processor time",
            Self::Connections => "connections accepted",
            Self::ReceivedBytes => "bytes received",
            Self::Messages => "messages from a broker",
        }
    }

    /// What is counted, as it stands in JSON.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::ProcessorTime => "second of processor time",
            Self::Connections => "connection",
            Self::ReceivedBytes => "byte",
            Self::Messages => "message",
        }
    }

    /// How many of that make a unit to which growth is compared, and its name. Nothing for
    /// processor time: nobody counts on that.
    pub const fn yardstick(self) -> Option<(f64, &'static str)> {
        match self {
            Self::ProcessorTime => None,
            Self::Connections => Some((1.0, "connection")),
            Self::ReceivedBytes => Some((1e6, "MB received")),
            Self::Messages => Some((1.0, "message")),
        }
    }

    /// The signal that tells most of a recording.
    pub(super) fn of(findings: &Findings) -> Self {
        let last = findings.rounds.last();
        let came = last.map(|round| round.sockets).unwrap_or_default();
        match findings.traffic {
            TrafficChoice::None => Self::ProcessorTime,
            TrafficChoice::TcpAccepts if came.accepts.is_some() => Self::Connections,
            TrafficChoice::SocketBytes if came.received_bytes.is_some() => Self::ReceivedBytes,
            TrafficChoice::Auto => Self::that_tells_most(came),
            TrafficChoice::TcpAccepts | TrafficChoice::SocketBytes => Self::ProcessorTime,
        }
    }

    fn that_tells_most(came: SocketCensus) -> Self {
        let known = |count: Option<u64>| count.map_or(0.0, float);
        let (accepts, receives) = (known(came.accepts), known(came.receives));
        let messages = known(came.messages);
        if messages > limit::WORKER_MESSAGES * accepts.max(receives) {
            return Self::Messages;
        }
        let is_kept_alive = receives > limit::KEPT_ALIVE * accepts;
        match (came.accepts, came.received_bytes) {
            (_, Some(1..)) if is_kept_alive => Self::ReceivedBytes,
            (Some(accepts), _) if accepts > 0 || known(came.listeners) > 0.0 => Self::Connections,
            _ => Self::ProcessorTime,
        }
    }

    /// What of that came; nothing if it is not counted.
    pub const fn counted(self, came: &SocketCensus) -> Option<u64> {
        match self {
            Self::ProcessorTime => None,
            Self::Connections => came.accepts,
            Self::ReceivedBytes => came.received_bytes,
            Self::Messages => came.messages,
        }
    }

    pub(super) fn count(self, came: &SocketCensus) -> Option<f64> {
        self.counted(came).map(float)
    }

    /// Of how many single events a count consists.
    fn events(self, came: &SocketCensus) -> Option<f64> {
        match self {
            Self::ReceivedBytes => came.receives.map(float),
            _ => self.count(came),
        }
    }

    /// By how much busy and quiet differ, in this signal.
    pub(super) const fn contrast(self) -> Contrast {
        match self {
            Self::ProcessorTime => limit::CONTRAST,
            Self::Connections | Self::Messages => limit::EVENT_CONTRAST,
            Self::ReceivedBytes => limit::BYTE_CONTRAST,
        }
    }
}

/// What came to a process: counts from the start on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Came {
    /// Which signal it is.
    pub(super) activity: Activity,
    /// The counts.
    pub(super) counts: Vec<Point>,
    /// The single events of which they consist.
    events: Vec<Point>,
}

impl Came {
    /// What came to a process. One that nothing comes to itself lives of what comes to the others,
    /// unless it waits for it.
    pub(super) fn of(activity: Activity, course: &Course, rounds: &[Round]) -> Option<Self> {
        let own = course.sockets();
        let is_own = activity.count(&own)? > 0.0 || own.listeners.is_some_and(|it| it > 0);
        let moments: Vec<(f64, SocketCensus)> = if is_own || rounds.is_empty() {
            let moments = course.moments.iter();
            moments
                .map(|it| (it.time.as_secs_f64(), it.sockets))
                .collect()
        } else {
            let rounds = rounds.iter();
            rounds
                .map(|it| (it.time.as_secs_f64(), it.sockets))
                .collect()
        };
        let series = |of: &dyn Fn(&SocketCensus) -> Option<f64>| -> Vec<Point> {
            let known = moments.iter();
            known
                .filter_map(|(time, came)| Some((*time, of(came)?)))
                .collect()
        };
        Some(Self {
            activity,
            counts: series(&|came| activity.count(came)),
            events: series(&|came| activity.events(came)),
        })
    }

    /// How many came between two times.
    pub(super) fn between(&self, from: f64, to: f64) -> f64 {
        (at(&self.counts, to) - at(&self.counts, from)).max(0.0)
    }

    /// How many per second, at the ends of intervals. Events that come now and then are looked at
    /// in longer stretches, for they cluster by chance; `None` if they are too rare for that.
    pub(super) fn rates(&self) -> Option<Vec<Point>> {
        let half = self.stretch()? / 2.0;
        let rate = |pair: &[Point]| {
            let (from, to) = if half <= 0.5 {
                (pair[0].0, pair[1].0)
            } else {
                let first = self.counts.first().map_or(0.0, |it| it.0);
                let last = self.counts.last().map_or(0.0, |it| it.0);
                ((pair[1].0 - half).max(first), (pair[1].0 + half).min(last))
            };
            (pair[1].0, self.between(from, to) / (to - from).max(1e-3))
        };
        Some(self.counts.windows(2).map(rate).collect())
    }

    /// Seconds in which there are enough events when it is busy.
    fn stretch(&self) -> Option<f64> {
        let (first, last) = (self.events.first()?.0, self.events.last()?.0);
        let step = (limit::LONGEST_STRETCH / 2.0).max((last - first) / 200.0);
        let mut densest = Vec::new();
        let mut from = first;
        while from + step <= last {
            densest.push((at(&self.events, from + step) - at(&self.events, from)) / step);
            from += step / 2.0;
        }
        let busy = quantile(&densest, 0.9);
        let needed = limit::STRETCH_EVENTS / busy.max(1e-9);
        (needed <= limit::LONGEST_STRETCH).then_some(needed.max(1.0))
    }

    /// Whether there was practically nothing, all the time.
    pub(super) fn is_nothing(&self) -> bool {
        let (Some(first), Some(last)) = (self.events.first(), self.events.last()) else {
            return false;
        };
        last.1 - first.1 <= limit::NO_TRAFFIC * (last.0 - first.0)
    }
}

/// The count as it was last known.
fn at(counts: &[Point], time: f64) -> f64 {
    let after = counts.partition_point(|it| it.0 <= time);
    let last = after.checked_sub(1).or((!counts.is_empty()).then_some(0));
    last.map_or(0.0, |last| counts[last].1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aggregate::Moment;

    fn came(accepts: u64, receives: u64, bytes: u64, messages: u64) -> SocketCensus {
        SocketCensus {
            descriptors: None,
            listeners: Some(1),
            accepts: Some(accepts),
            receives: Some(receives),
            received_bytes: Some(bytes),
            messages: Some(messages),
        }
    }

    fn chosen(sockets: SocketCensus, traffic: TrafficChoice) -> Activity {
        Activity::of(&Findings {
            rounds: vec![Round {
                sockets,
                ..Round::default()
            }],
            traffic,
            ..Findings::default()
        })
    }

    #[test]
    fn the_signal_that_tells_most_is_chosen() {
        let auto = |sockets| chosen(sockets, TrafficChoice::Auto);
        assert_eq!(auto(came(100, 150, 9000, 3)), Activity::Connections);
        assert_eq!(auto(came(4, 1500, 90_000, 300)), Activity::ReceivedBytes);
        assert_eq!(auto(came(1, 1, 90, 300)), Activity::Messages);
        assert_eq!(auto(came(0, 0, 0, 0)), Activity::Connections, "none came");
        let deaf = SocketCensus {
            listeners: Some(0),
            ..came(0, 0, 0, 0)
        };
        assert_eq!(auto(deaf), Activity::ProcessorTime);
        assert_eq!(auto(SocketCensus::default()), Activity::ProcessorTime);
        let blind = SocketCensus {
            accepts: Some(7),
            ..SocketCensus::default()
        };
        assert_eq!(auto(blind), Activity::Connections);
    }

    #[test]
    fn what_is_asked_for_is_taken_if_it_was_counted() {
        let all = came(100, 150, 9000, 3);
        let with = |choice| chosen(all, choice);
        assert_eq!(with(TrafficChoice::None), Activity::ProcessorTime);
        assert_eq!(with(TrafficChoice::SocketBytes), Activity::ReceivedBytes);
        assert_eq!(with(TrafficChoice::TcpAccepts), Activity::Connections);
        let nothing = SocketCensus::default();
        for choice in TrafficChoice::ALL {
            assert_eq!(chosen(nothing, choice), Activity::ProcessorTime);
        }
    }

    /// A minute with so many connections each second.
    fn minute(accepts: impl Fn(u64) -> u64) -> Came {
        let mut all = 0;
        let moments = (0..60).map(|second| {
            all += accepts(second);
            Moment {
                time: Duration::from_secs(second),
                sockets: came(all, all, all, 0),
                ..Moment::default()
            }
        });
        let course = Course {
            moments: moments.collect(),
            left: Vec::new(),
        };
        Came::of(Activity::Connections, &course, &[]).unwrap()
    }

    #[test]
    fn rates_tell_busy_from_quiet() {
        let busy = minute(|second| if second < 30 { 50 } else { 0 });
        let rates = busy.rates().unwrap();
        assert!((rates[10].1 - 50.0).abs() < 1e-6 && rates[40].1.abs() < 1e-6);
        assert!((busy.between(0.0, 59.0) - 1450.0).abs() < 1e-6);
        assert!(!busy.is_nothing());
    }

    #[test]
    fn rare_events_make_no_phases() {
        // Three each second, six at a time: that is even over longer stretches.
        let rates = minute(|second| if second % 2 == 0 { 6 } else { 0 }).rates();
        assert!(rates.unwrap().iter().all(|it| it.1 > 1.0 && it.1 < 5.0));
        assert_eq!(minute(|second| u64::from(second % 7 == 0)).rates(), None);
        assert!(minute(|second| u64::from(second == 7)).is_nothing());
    }

    #[test]
    fn who_gets_nothing_itself_lives_of_what_the_others_get() {
        let moment = |second: u64, listeners| Moment {
            time: Duration::from_secs(second),
            sockets: SocketCensus {
                listeners: Some(listeners),
                ..came(0, 0, 0, 0)
            },
            ..Moment::default()
        };
        let rounds = [0, 1].map(|second| Round {
            time: Duration::from_secs(second),
            sockets: came(9 * second, 0, 0, 0),
            ..Round::default()
        });
        let counts = |listeners| {
            let course = Course {
                moments: vec![moment(0, listeners), moment(1, listeners)],
                left: Vec::new(),
            };
            let came = Came::of(Activity::Connections, &course, &rounds).unwrap();
            came.between(0.0, 1.0)
        };
        assert!((counts(0) - 9.0).abs() < 1e-9);
        assert!(counts(1).abs() < 1e-9);
    }
}

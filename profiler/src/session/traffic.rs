//! What comes to processes through their sockets, and what they have open.

use std::time::{Duration, Instant};

use profiler_common::config::{PortRole, Traffic};

use super::pace::Pace;
use crate::{
    probe::{Links, Probe},
    process::sockets::{Listeners, descriptors},
    profile::{SocketCensus, TrafficChoice},
    units::Pid,
};

/// How often it is looked up on which sockets a process listens.
const LISTENERS_PERIOD: Duration = Duration::from_secs(1);

/// Where brokers of messages listen by custom: AMQP (5672, with TLS 5671), Redis (6379), Kafka
/// (9092), NATS (4222), MQTT (1883), STOMP (61613), beanstalkd (11300).
const BROKERS: [u16; 8] = [5672, 5671, 6379, 9092, 4222, 1883, 61_613, 11_300];

/// Which signals of traffic this kernel shows, of those that are asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Sight {
    accepts: bool,
    receives: bool,
}

/// Begins to count what is asked for. What this kernel does not show is missing, with a note where
/// it was asked for by name.
pub(super) fn begin(
    probe: &mut Probe,
    choice: TrafficChoice,
    links: &mut Links,
    notes: &mut Vec<String>,
) -> Sight {
    let mut sight = Sight::default();
    if choice.counts_accepts() {
        match probe.attach_accepts() {
            Ok(attached) => {
                links.append(attached);
                sight.accepts = true;
            }
            Err(error) => notes.push(format!("accepted connections are not counted: {error}")),
        }
    }
    if choice.counts_receives() {
        match probe.attach_receives() {
            Ok(attached) => {
                links.append(attached);
                sight.receives = true;
                for port in BROKERS {
                    probe.look_out_for(PortRole::Broker, port);
                }
            }
            Err(error) if choice == TrafficChoice::Auto => {
                tracing::info!("what is received is not counted: {error}");
            }
            Err(error) => notes.push(format!(
                "what is received is not counted, which takes Linux 6.3 or newer: {error}"
            )),
        }
    }
    sight
}

/// Counts for one process.
#[derive(Debug)]
pub(super) struct SocketWatch {
    sight: Sight,
    /// What the kernel half had counted when it was asked last.
    last: Traffic,
    total: Traffic,
    listeners: Option<u64>,
    pace: Pace,
}

impl SocketWatch {
    pub(super) const fn new(sight: Sight) -> Self {
        Self {
            sight,
            last: Traffic {
                accepts: 0,
                receives: 0,
                received_bytes: 0,
                messages: 0,
            },
            total: Traffic {
                accepts: 0,
                receives: 0,
                received_bytes: 0,
                messages: 0,
            },
            listeners: None,
            pace: Pace::new(LISTENERS_PERIOD),
        }
    }

    /// Looks up on which sockets the process listens, if it is time: what is received through them
    /// counts from now on.
    pub(super) fn look_for_listeners(&mut self, probe: &mut Probe, pid: Pid, now: Instant) {
        if !self.sight.accepts && !self.sight.receives {
            return;
        }
        if let Some(Ok(found)) = self.pace.run(now, || Listeners::read(pid)) {
            self.listeners = Some(found.count() as u64);
            for port in found.ports {
                probe.look_out_for(PortRole::Served, port);
            }
        }
    }

    /// What the process has open, and what has come to it so far.
    pub(super) fn census(&mut self, probe: &mut Probe, pid: Pid, now: Instant) -> SocketCensus {
        self.look_for_listeners(probe, pid, now);
        if let Some(counters) = probe.counters(pid) {
            self.add(counters.traffic);
        }
        let Sight { accepts, receives } = self.sight;
        SocketCensus {
            descriptors: descriptors(pid).ok(),
            listeners: self.listeners,
            accepts: accepts.then_some(self.total.accepts),
            receives: receives.then_some(self.total.receives),
            received_bytes: receives.then_some(self.total.received_bytes),
            messages: receives.then_some(self.total.messages),
        }
    }

    /// Adds what was counted since the last time. The kernel half starts anew when a process runs
    /// another program, or becomes a Python.
    fn add(&mut self, now: Traffic) {
        let began_anew = now.accepts < self.last.accepts
            || now.receives < self.last.receives
            || now.messages < self.last.messages;
        let last = if began_anew {
            Traffic::default()
        } else {
            self.last
        };
        self.total.accepts += now.accepts - last.accepts;
        self.total.receives += now.receives - last.receives;
        let bytes = now.received_bytes.saturating_sub(last.received_bytes);
        self.total.received_bytes += bytes;
        self.total.messages += now.messages - last.messages;
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(accepts: u64, bytes: u64) -> Traffic {
        Traffic {
            accepts,
            receives: accepts,
            received_bytes: bytes,
            messages: 0,
        }
    }

    #[test]
    fn counts_go_on_where_the_kernel_half_starts_anew() {
        let mut watch = SocketWatch::new(Sight::default());
        for counted in [traffic(5, 500), traffic(8, 900), traffic(2, 100)] {
            watch.add(counted);
        }
        assert_eq!(watch.total, traffic(10, 1000));
    }
}

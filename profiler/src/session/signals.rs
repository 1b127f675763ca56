//! The signals that matter while recording.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a recording, or are passed on to a launched command.
pub(super) struct Signals([(SignalKind, Signal); 4]);

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        let listen = |kind| signal(kind).map(|signal| (kind, signal));
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
            listen(SignalKind::quit())?,
        ]))
    }

    pub(super) async fn next(&mut self) -> SignalKind {
        let [(a, first), (b, second), (c, third), (d, fourth)] = &mut self.0;
        tokio::select! {
            _ = first.recv() => *a,
            _ = second.recv() => *b,
            _ = third.recv() => *c,
            _ = fourth.recv() => *d,
        }
    }
}

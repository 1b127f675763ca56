//! Following everything, whatever it costs the target.

use std::{thread, time::Duration};

use tokio::time::sleep;

use super::{clock::Clock, tracker::Tracker};

/// Bytes of the ring buffer where every object is seen with its stack, as fast as the target can
/// make them: 229,000 events, or 49,000 with deeper stacks.
pub(super) const RING_BYTES: u32 = 1 << 27;

/// How long to look at the target before it is said how much slower it runs.
const PREVIEW: Duration = Duration::from_millis(20);

/// Says how much slower the target runs when everything is followed.
pub(super) async fn preview(tracker: &mut Tracker, clock: Clock) -> String {
    sleep(PREVIEW).await;
    tracker.pay(clock.now(), false);
    let slower = match tracker.slowdown() {
        Some(factor) => format!("makes the target about {factor:.1} times slower"),
        None => "makes the target several times slower when it is busy".to_owned(),
    };
    format!("--exact follows every allocation, which {slower} as long as it is recorded")
}

/// Whether something is left for others where heaptide goes before them.
pub(super) fn has_processors_to_spare() -> bool {
    thread::available_parallelism().is_ok_and(|count| count.get() > 1)
}
